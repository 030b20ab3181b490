#include "progress/render.hpp"

#include <algorithm>

namespace multiprocessing::progress_ {
namespace {

// A bar of fewer columns tells nothing that the percentage does not.
constexpr int kLeastBar = 6;
// Room is kept for a rate as long as "182.3 MiB/s", so that the bar keeps its width while rates come and go.
constexpr int kRateColumns = 11;

std::optional<double> fraction_of(const ProgressState& state) {
  if (state.fraction) return std::clamp(*state.fraction, 0.0, 1.0);
  if (!state.total) return std::nullopt;
  if (*state.total == 0) return 1.0;
  return std::min(1.0, static_cast<double>(state.done) / static_cast<double>(*state.total));
}

// Rounded down: 100% means that nothing is left.
std::string percent(double fraction) {
  const std::string number = std::to_string(static_cast<int>(fraction * 100));
  return std::string(3 - number.size(), ' ') + number + "%";
}

// "12,604/20,000", the first padded to the width of the second; without a total "12,604".
std::string counts(const Moment& moment) {
  const auto& [done, total, fraction, note] = moment.state;
  std::string first;
  std::string second;
  std::string_view unit_name;
  if (moment.unit == ProgressUnit::bytes) {
    const ByteUnit unit = byte_unit(static_cast<double>(total ? std::max(*total, done) : done));
    first = in_unit(static_cast<double>(done), unit);
    if (total) second = in_unit(static_cast<double>(*total), unit);
    unit_name = unit.name;
  } else {
    first = with_commas(done);
    if (total) second = with_commas(*total);
  }
  if (first.size() < second.size()) first.insert(0, second.size() - first.size(), ' ');
  if (total) first.append("/").append(second);
  if (!unit_name.empty()) first.append(" ").append(unit_name);
  return first;
}

std::string rate(const Moment& moment) {
  if (!moment.rate) return "?/s";
  return moment.unit == ProgressUnit::bytes ? bytes_per_second(*moment.rate) : counts_per_second(*moment.rate);
}

// What may stand behind the bar.
struct Parts {
  bool counts = false, note = false, times = false, rate = false;
};
constexpr Parts kAll{.counts = true, .note = true, .times = true, .rate = true};
// From richest to barest: what is dropped first is what the percentage and the bar say as well.
constexpr Parts kChoices[] = {kAll,
                              {.counts = true, .times = true, .rate = true},
                              {.note = true, .times = true, .rate = true},
                              {.times = true, .rate = true},
                              {.times = true},
                              {}};

// What stands behind the bar: "12,604/20,000, 3 files [00:07<00:04, 1,750.3/s]".
class Tail {
 public:
  explicit Tail(const Moment& moment)
      : counts_(counts(moment)), note_(moment.state.note), times_(clock_time(moment.elapsed)), rate_(rate(moment)) {
    if (!fraction_of(moment.state)) return;
    times_.append("<").append(moment.remaining ? clock_time(*moment.remaining) : "--:--");
  }

  [[nodiscard]] std::string of(Parts parts) const {
    std::string head = parts.counts ? counts_ : "";
    if (parts.note && !note_.empty()) head.append(head.empty() ? "" : ", ").append(note_);
    std::string clock = parts.times ? times_ : "";
    if (parts.rate) clock.append(", ").append(rate_);
    if (clock.empty()) return head;
    return head.append(head.empty() ? "[" : " [").append(clock).append("]");
  }
  // By how much of() could still grow.
  [[nodiscard]] int reserve(Parts parts) const {
    return parts.rate ? std::max(0, kRateColumns - static_cast<int>(rate_.size())) : 0;
  }

 private:
  std::string counts_, note_, times_, rate_;
};

std::string drawn_bar(double fraction, int columns, Charset charset) {
  constexpr std::string_view kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int steps = charset == Charset::utf8 ? 8 : 1;
  const int filled = static_cast<int>(fraction * columns * steps);
  std::string bar;
  for (int i = 0; i < filled / steps; ++i) bar.append(charset == Charset::utf8 ? "█" : "#");
  bar.append(kEighths[filled % steps]);
  const int blank = columns - (filled + steps - 1) / steps;
  return bar.append(static_cast<std::size_t>(blank), ' ');
}

std::string with_space(std::string label) { return label.empty() ? label : std::move(label) + " "; }

}  // namespace

std::string render_bar(const Moment& moment, int columns, Charset charset) {
  const std::optional<double> fraction = fraction_of(moment.state);
  const Tail tail(moment);
  const std::string label = with_space(fitted(moment.label, columns / 3, charset));
  if (!fraction) {
    for (const Parts parts : kChoices) {
      std::string line = label + tail.of(parts);
      if (columns_of(line, charset) <= columns) return line;
    }
    return fitted(label, columns, charset);
  }
  const std::string head = label + percent(*fraction);
  for (const Parts parts : kChoices) {
    std::string behind = tail.of(parts);
    if (!behind.empty()) behind.insert(0, " ");
    const int frame = columns_of(head, charset) + 3 + columns_of(behind, charset) + tail.reserve(parts);
    if (columns - frame < kLeastBar) continue;
    std::string line = head;
    line.append(" |").append(drawn_bar(*fraction, columns - frame, charset)).append("|").append(behind);
    return line;
  }
  for (const std::string& line : {head, percent(*fraction)}) {
    if (columns_of(line, charset) <= columns) return line;
  }
  return {};
}

std::string render_plain(const Moment& moment) {
  const std::optional<double> fraction = fraction_of(moment.state);
  std::string line = with_space(fitted(moment.label, columns_of(moment.label, Charset::ascii), Charset::ascii));
  if (fraction) line += percent(*fraction) + " ";
  return line + Tail(moment).of(kAll);
}

}  // namespace multiprocessing::progress_
