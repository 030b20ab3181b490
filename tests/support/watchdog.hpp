// Watchdog: a test that hangs dies with its name and its stack instead of hanging the whole run.
//
//   TEST(Queue, JoinReturnsWithAnUndrainedQueue) {
//     Watchdog dog{60s};
//     …
//   }
//
// It is a POSIX timer with a signal and not a thread: a test that forks must stay single-threaded, and a forked
// child does not inherit the timer, so only the test itself is watched. The signal goes to the thread that made
// the watchdog, which is the one whose stack tells where the test hangs.
//
// The time is meant to be far beyond any honest run on a loaded machine; it is no measure of speed.
#pragma once

#include <time.h>

#include <chrono>
#include <string>

namespace multiprocessing::testing {

class Watchdog {
 public:
  explicit Watchdog(std::chrono::seconds patience);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // What it says before it ends the process.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }

 private:
  void start_timer(std::chrono::seconds patience);

  std::string message_;
  timer_t timer_{};
};

}  // namespace multiprocessing::testing
