// No more than so many bytes in a second, all workers together.
#pragma once

#include <cstdint>

#include "multiprocessing/sharedctypes.hpp"

namespace mpcopy {

// What is paid for so many bytes is time, and all workers pay from one purse: the moment until which what was copied
// so far would have taken at the rate.  Who pays moves it on, and sleeps until it has come.  A worker that dies in
// between has paid, or has not; nobody waits for it.
class Throttle {
 public:
  // Processes forked from now on find it by inherited().  One at a time.  REQUIRES: bytes_per_second > 0
  explicit Throttle(std::uint64_t bytes_per_second);
  ~Throttle();
  Throttle(const Throttle&) = delete;
  Throttle& operator=(const Throttle&) = delete;

  // After so many bytes.
  void pay(std::uint64_t bytes);
  // In a worker.  Null where there is no limit.
  static Throttle* inherited();

 private:
  std::uint64_t bytes_per_second_;
  multiprocessing::Value<std::int64_t> paid_until_;  // in nanoseconds of the monotonic clock
};

}  // namespace mpcopy
