// Deadline: one absolute point on the monotonic clock.  Durations appear at the edge of the library only.
#pragma once

#include <chrono>

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::detail {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  // Saturates: after(std::chrono::nanoseconds::max()) is never(); a negative duration is already past.
  static Deadline after(std::chrono::nanoseconds patience) noexcept {
    const auto now = Clock::now();
    return patience > Clock::time_point::max() - now ? never() : Deadline{now + patience};
  }
  // Any duration, also hours::max() or a floating one: converted without overflow.
  template <class Rep, class Period>
  static Deadline after(std::chrono::duration<Rep, Period> patience) noexcept {
    using Seconds = std::chrono::duration<double>;
    if (Seconds(patience) >= Seconds(std::chrono::nanoseconds::max())) return never();
    if (Seconds(patience) <= Seconds(0)) return passed();
    return after(std::chrono::duration_cast<std::chrono::nanoseconds>(patience));
  }
  static Deadline at(Clock::time_point when) noexcept { return Deadline{when}; }
  static Deadline never() noexcept { return Deadline{Clock::time_point::max()}; }
  // The clock's epoch, not its minimum: differences to now must not overflow.
  static Deadline passed() noexcept { return Deadline{Clock::time_point{}}; }

  [[nodiscard]] Clock::time_point when() const noexcept { return at_; }
  [[nodiscard]] bool is_never() const noexcept { return at_ == Clock::time_point::max(); }
  [[nodiscard]] bool is_over() const noexcept { return !is_never() && at_ <= Clock::now(); }

  // This deadline or `slice` from now, whichever comes first: the bound of a wait that looks again.
  [[nodiscard]] Deadline at_most(std::chrono::nanoseconds slice) const noexcept {
    const Deadline next = after(slice);
    return next.at_ < at_ ? next : *this;
  }

 private:
  explicit Deadline(Clock::time_point at) noexcept : at_(at) {}
  Clock::time_point at_;
};

}  // namespace multiprocessing::detail

#pragma GCC visibility pop
