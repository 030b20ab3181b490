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

#include <execinfo.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <system_error>

namespace multiprocessing::testing {

class Watchdog {
 public:
  explicit Watchdog(std::chrono::seconds patience)
      : message_{"\nWatchdog: no end after " + std::to_string(patience.count()) + " s: " + test_name() + "\n"} {
    prepare_backtrace();
    install_handler();
    start_timer(patience);
  }

  ~Watchdog() { ::timer_delete(timer_); }

  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  static std::string test_name() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    if (test == nullptr) return "(outside a test)";
    return std::string{test->test_suite_name()} + "." + test->name();
  }

  // The first call of backtrace() loads libgcc, which must not happen inside the handler.
  static void prepare_backtrace() {
    std::array<void*, 1> frame;
    ::backtrace(frame.data(), 1);
  }

  static void install_handler() {
    struct sigaction action {};
    action.sa_sigaction = &bark;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    if (::sigaction(SIGALRM, &action, nullptr) != 0) throw_errno("sigaction");
  }

  void start_timer(std::chrono::seconds patience) {
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGALRM;
    event.sigev_value.sival_ptr = this;
    event._sigev_un._tid = ::gettid();  // glibc 2.36 has no public name for this field
    if (::timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0) throw_errno("timer_create");
    itimerspec when{};
    when.it_value.tv_sec = patience.count();
    if (::timer_settime(timer_, 0, &when, nullptr) != 0) throw_errno("timer_settime");
  }

  // Async-signal-safe: write, backtrace after its first call, abort.
  static void bark(int /*signo*/, siginfo_t* info, void* /*context*/) {
    const auto* dog = static_cast<const Watchdog*>(info->si_value.sival_ptr);
    if (::write(STDERR_FILENO, dog->message_.data(), dog->message_.size()) < 0) std::abort();
    std::array<void*, 64> frames;
    const int depth = ::backtrace(frames.data(), static_cast<int>(frames.size()));
    ::backtrace_symbols_fd(frames.data(), depth, STDERR_FILENO);
    std::abort();
  }

  [[noreturn]] static void throw_errno(const char* operation) {
    throw std::system_error(errno, std::generic_category(), operation);
  }

  std::string message_;
  timer_t timer_{};
};

}  // namespace multiprocessing::testing
