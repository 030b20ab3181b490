// progress: how far a loop has come, while it runs.
//
//   for (auto& done : mp::progress(pool.imap_unordered(copy_file, files), {.label = "copying"})) …
//
//   copying  63% |██████████▌      | 12,604/20,000 [00:07<00:04, 1,750.3/s]
//
// (percent, done/total, time elapsed < time remaining, items per second).  progress() wraps any input range, taken
// by value, and yields its elements as they are: T& where the range gives T&.  An item counts as done when the
// loop comes back for the next one.
//
// Where it is drawn.  On standard error, or `.fd`.  On a terminal one line is redrawn in place, at most 20 times
// a second; it fits the width of the terminal as it is at that moment, and drops what has no room.  Elsewhere
// (pipe, file, TERM=dumb) a plain line is written every 5 seconds.  Both end with one final line.  The bar is
// drawn in ASCII unless the environment (LC_ALL, LC_CTYPE, LANG) says UTF-8.
//
// Total.  Known where the range tells its size, by std::ranges::size or a member size() that returns a number or
// an optional one; `.total` overrides it.  Where it is not known, the line shows count, elapsed time and rate.
//
// Cost: one reading of the monotonic clock per item, about 25 ns.  There is no thread behind it: while the loop's
// body or the range itself blocks, nothing is redrawn.
//
// Threads: one thread at a time.  Fork: a child that inherited a bar never draws on it.
// Errors: drawing never throws and never ends the program (no SIGPIPE); when the descriptor is closed or full,
// the bar is silent.  An exception of the range or the loop passes through; the line is ended first.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <utility>

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

enum class ProgressUnit {
  items,  // 12,604/20,000 and 1,750.3/s
  bytes,  // 1.2/4.5 GiB and 182.3 MiB/s
};

struct ProgressOptions {
  std::string label{};                   // stands before the bar
  std::optional<std::uint64_t> total{};  // overrides the size of the range
  ProgressUnit unit = ProgressUnit::items;
  bool quiet = false;  // draw nothing at all: for programs that have such a switch
  int fd = 2;          // where to draw; stays the caller's
};

// What a ProgressBar shows, where advance() does not say enough.
struct ProgressState {
  std::uint64_t done = 0;
  std::optional<std::uint64_t> total{};  // empty: not known (yet)
  std::optional<double> fraction{};      // 0…1, where done/total is not the share of the work that is done
  std::string note{};                    // stands beside the count: "12,604 files"
};

// ProgressBar: the bar alone, for work that is not a loop over a range.
//
//   mp::ProgressBar bar({.label = "reading", .total = size, .unit = mp::ProgressUnit::bytes});
//   while (auto n = read_some()) bar.advance(n);
//   bar.finish();                                 // or leave its scope
//
// Drawn at once on construction, then whenever advance() or update() is called and a redraw is due.
// Movable; a moved-from bar does nothing.
class ProgressBar {
 public:
  explicit ProgressBar(ProgressOptions options = {});
  ProgressBar(ProgressBar&& other) noexcept;
  ProgressBar& operator=(ProgressBar&& other) noexcept;
  ~ProgressBar();  // finish()

  void advance(std::uint64_t n = 1) noexcept {
    state_.done += n;
    if (is_due()) draw();
  }
  void update(ProgressState state) noexcept {  // replaces the whole state
    state_ = std::move(state);
    if (is_due()) draw();
  }
  void finish() noexcept;  // draws the final line; later calls of anything do nothing

 private:
  using Clock = std::chrono::steady_clock;
  struct Drawing;  // where, how often, how fast: src/progress/progress.cpp

  [[nodiscard]] bool is_due() const noexcept { return Clock::now() >= next_draw_; }
  void draw() noexcept;

  ProgressState state_;
  Clock::time_point next_draw_ = Clock::time_point::max();
  std::unique_ptr<Drawing> drawing_;  // null: quiet, finished or moved from
};

namespace progress_ {

template <class Range>
concept TellsItsSize = requires(Range& range) {
  { range.size() } -> std::convertible_to<std::optional<std::uint64_t>>;
};

template <std::ranges::input_range Range>
std::optional<std::uint64_t> known_size(Range& range) {
  if constexpr (std::ranges::sized_range<Range>) {
    return static_cast<std::uint64_t>(std::ranges::size(range));
  } else if constexpr (TellsItsSize<Range>) {
    return range.size();
  } else {
    return std::nullopt;
  }
}

}  // namespace progress_

// What progress() returns: an input range over the elements of `Range`, to be iterated once.
template <std::ranges::input_range Range>
class Progress {
 public:
  class Iterator;

  Progress(Range range, ProgressOptions options) : range_(std::move(range)), options_(std::move(options)) {}

  // Starts the clock and draws for the first time.
  Iterator begin() {
    if (!options_.total) options_.total = progress_::known_size(range_);
    bar_ = ProgressBar(options_);
    return Iterator(*this, std::ranges::begin(range_));
  }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  Range range_;
  ProgressOptions options_;
  ProgressBar bar_{{.quiet = true}};
};

template <std::ranges::input_range Range>
class Progress<Range>::Iterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using value_type = std::ranges::range_value_t<Range>;
  using difference_type = std::ranges::range_difference_t<Range>;

  decltype(auto) operator*() const { return *inner_; }
  Iterator& operator++() {
    owner_->bar_.advance();  // first: the item is done, also when looking for the next one throws
    ++inner_;
    finish_at_end();
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const Iterator& it, std::default_sentinel_t) { return it.at_end(); }

 private:
  friend class Progress;
  Iterator(Progress& owner, std::ranges::iterator_t<Range> inner) : owner_(&owner), inner_(std::move(inner)) {
    finish_at_end();
  }
  [[nodiscard]] bool at_end() const { return inner_ == std::ranges::end(owner_->range_); }
  void finish_at_end() {
    if (at_end()) owner_->bar_.finish();
  }

  Progress* owner_;
  std::ranges::iterator_t<Range> inner_;
};

// The range itself, and a progress line while it is iterated.
template <std::ranges::input_range Range>
[[nodiscard]] Progress<Range> progress(Range range, ProgressOptions options = {}) {
  return Progress<Range>(std::move(range), std::move(options));
}

}  // namespace multiprocessing

#pragma GCC visibility pop
