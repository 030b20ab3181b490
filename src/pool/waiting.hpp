// Core::Waiting, for the two ways to wait: for one pool (waiting.cpp), for several (wait_several.cpp).
#pragma once

#include "pool/core.hpp"

namespace multiprocessing::pool {

// Of a pump() that finds nothing, in looks at one word.
inline constexpr int pump_cost = 12;

// A thread that waits.  While there is one the result thread keeps out of the way.
class Core::Waiting {
 public:
  explicit Waiting(Core& core) : core_(core) { core_.waiters_.fetch_add(1); }
  ~Waiting() {
    if (core_.waiters_.fetch_sub(1) != 1) return;
    const std::lock_guard lock(core_.mutex_);
    if (core_.undecided_ != 0) core_.thread_events_.notify();  // it takes over what is still under way
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  Core& core_;
};

}  // namespace multiprocessing::pool
