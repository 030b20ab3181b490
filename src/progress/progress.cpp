// ProgressBar: decides when to draw and what the numbers are; render.cpp says how it looks.
#include "multiprocessing/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "progress/rate.hpp"
#include "progress/render.hpp"
#include "progress/terminal.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using progress_::Moment;
using progress_::RateMeter;

constexpr auto kRedrawEvery = 50ms;
constexpr auto kLineEvery = 5s;
constexpr auto kRateMemory = 10s;

// An unbelievable remaining time (a rate of almost nothing) is shown as unknown.
constexpr std::chrono::duration<double> kLongestRemaining = std::chrono::hours(24 * 999);

std::optional<std::chrono::nanoseconds> time_for(double work, std::optional<double> rate) {
  if (!rate) return std::nullopt;
  const std::chrono::duration<double> time(std::max(0.0, work) / *rate);
  if (time > kLongestRemaining) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time);
}

}  // namespace

struct ProgressBar::Drawing {
  explicit Drawing(ProgressOptions&& given)
      : label(std::move(given.label)),
        unit(given.unit),
        fd(given.fd),
        redraw(progress_::is_redrawable(fd)),
        charset(progress_::charset_of_environment()) {}

  std::string label;
  ProgressUnit unit;
  int fd;
  bool redraw;  // one line in place; otherwise a line now and then
  progress_::Charset charset;

  pid_t owner = ::getpid();
  Clock::time_point start = Clock::now();
  RateMeter done_rate{kRateMemory};
  RateMeter work_rate{kRateMemory};  // of the fraction, where one is given: it foretells the end better

  Moment moment(const ProgressState& state, Clock::time_point now) {
    const std::chrono::duration<double> at = now - start;
    done_rate.observe(static_cast<double>(state.done), at);
    if (state.fraction) work_rate.observe(*state.fraction, at);
    Moment moment{.label = label, .unit = unit, .state = state, .elapsed = now - start, .rate = done_rate.per_second()};
    if (state.fraction) {
      moment.remaining = time_for(1.0 - *state.fraction, work_rate.per_second());
    } else if (state.total) {
      moment.remaining = time_for(static_cast<double>(*state.total) - static_cast<double>(state.done), moment.rate);
    }
    return moment;
  }

  // The last word is about the whole: rate and remaining time are not those of the last seconds.
  Moment final_moment(const ProgressState& state, Clock::time_point now) {
    Moment last = moment(state, now);
    const std::chrono::duration<double> spent = last.elapsed;
    if (state.done > 0 && spent.count() > 0) last.rate = static_cast<double>(state.done) / spent.count();
    return last;
  }

  // "\033[K" clears what a longer line left behind.  One column stays free: some terminals wrap when the last is used.
  [[nodiscard]] std::string on_terminal(const Moment& moment) const {
    return "\r" + progress_::render_bar(moment, progress_::terminal_columns(fd) - 1, charset) + "\033[K";
  }
};

ProgressBar::ProgressBar(ProgressOptions options) {
  state_.total = options.total;
  if (options.quiet) return;
  drawing_ = std::make_unique<Drawing>(std::move(options));
  next_draw_ = drawing_->start + (drawing_->redraw ? 0ms : std::chrono::milliseconds(kLineEvery));
  if (is_due()) draw();
}

ProgressBar::ProgressBar(ProgressBar&& other) noexcept { *this = std::move(other); }

ProgressBar& ProgressBar::operator=(ProgressBar&& other) noexcept {
  if (this == &other) return *this;
  finish();
  state_ = std::move(other.state_);
  next_draw_ = std::exchange(other.next_draw_, Clock::time_point::max());
  drawing_ = std::move(other.drawing_);
  return *this;
}

ProgressBar::~ProgressBar() { finish(); }

// Nothing may escape: a loop must not end because its progress could not be shown (no memory, say).
void ProgressBar::draw() noexcept try {
  if (!drawing_) return;
  const Clock::time_point now = Clock::now();
  next_draw_ = now + (drawing_->redraw ? Clock::duration(kRedrawEvery) : Clock::duration(kLineEvery));
  if (drawing_->owner != ::getpid()) return;
  const Moment moment = drawing_->moment(state_, now);
  const std::string text = drawing_->redraw ? drawing_->on_terminal(moment) : render_plain(moment) + "\n";
  if (!progress_::write_quietly(drawing_->fd, text)) {
    next_draw_ = Clock::time_point::max();
    drawing_.reset();
  }
} catch (...) {
  next_draw_ = Clock::time_point::max();
}

void ProgressBar::finish() noexcept try {
  const std::unique_ptr<Drawing> drawing = std::move(drawing_);
  next_draw_ = Clock::time_point::max();
  if (!drawing || drawing->owner != ::getpid()) return;
  const Moment moment = drawing->final_moment(state_, Clock::now());
  progress_::write_quietly(drawing->fd, (drawing->redraw ? drawing->on_terminal(moment) : render_plain(moment)) + "\n");
} catch (...) {
}

}  // namespace multiprocessing
