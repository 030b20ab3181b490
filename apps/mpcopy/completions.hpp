// Where the pool's callbacks, on a thread of the pool, leave what they were told for the copying thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include "job.hpp"

namespace mpcopy {

// A task has ended: with its result, or with an error instead.
struct Completion {
  std::uint32_t slot = 0;
  BatchResult result{};
  std::exception_ptr error{};
};

class Completions {
 public:
  void add(Completion completion) {
    {
      const std::lock_guard hold(mutex_);
      ended_.push_back(std::move(completion));
    }
    changed_.notify_one();
  }
  // The next one; waits for it as long as `patience`.
  std::optional<Completion> next(std::chrono::milliseconds patience) {
    std::unique_lock hold(mutex_);
    if (!changed_.wait_for(hold, patience, [this] { return !ended_.empty(); })) return std::nullopt;
    Completion first = std::move(ended_.front());
    ended_.pop_front();
    return first;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Completion> ended_;
};

}  // namespace mpcopy
