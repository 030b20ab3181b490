// What follows from the death of a worker: how long its place stays empty, and when the pool is beyond help.
//
// A task that crashes is no reason to give up: it gets its error, and the next one may be better.  But where every
// worker dies and nothing gets done, restarting at full speed is a storm of forks, and for ever is no answer.  As in
// OTP's supervisors, a limit "N in T" can be set instead.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <string>

namespace multiprocessing::pool {

class Restarts {
 public:
  using Clock = std::chrono::steady_clock;
  // most 0: the limit is on deaths in a row.
  Restarts(std::size_t most, std::chrono::nanoseconds window) : most_(most), window_(window) {}

  void task_done() noexcept { in_a_row_ = 0; }

  // How long to wait with the replacement.
  [[nodiscard]] std::chrono::milliseconds worker_died(Clock::time_point now) {
    ++in_a_row_;
    if (most_ != 0) {
      deaths_.push_back(now);
      while (now - deaths_.front() > window_) deaths_.pop_front();
    }
    constexpr std::size_t free = 5;
    if (in_a_row_ <= free) return {};
    return std::min(longest_pause, std::chrono::milliseconds(1LL << std::min<std::size_t>(in_a_row_ - free, 16)));
  }

  // Empty, or why no more workers should be started.
  [[nodiscard]] std::string hopeless(std::size_t processes) const {
    if (most_ != 0 && deaths_.size() > most_) {
      return std::to_string(deaths_.size()) + " workers died within " +
             std::to_string(std::chrono::duration_cast<std::chrono::seconds>(window_).count()) +
             " s, and PoolOptions::max_restarts is " + std::to_string(most_);
    }
    if (most_ == 0 && in_a_row_ >= std::max<std::size_t>(50, 3 * processes)) {
      return std::to_string(in_a_row_) +
             " workers died one after another, and no task was done in between (PoolOptions::max_restarts sets another "
             "limit)";
    }
    return {};
  }

 private:
  static constexpr std::chrono::milliseconds longest_pause{100};
  const std::size_t most_;
  const std::chrono::nanoseconds window_;
  std::size_t in_a_row_ = 0;
  std::deque<Clock::time_point> deaths_;
};

}  // namespace multiprocessing::pool
