#include "support/watchdog.hpp"

#include <execinfo.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace multiprocessing::testing {
namespace {

[[noreturn]] void throw_errno(const char* operation) {
  throw std::system_error(errno, std::generic_category(), operation);
}

std::string test_name() {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  if (test == nullptr) return "(outside a test)";
  return std::string{test->test_suite_name()} + "." + test->name();
}

// The first call of backtrace() loads libgcc, which must not happen inside the handler.
void prepare_backtrace() {
  std::array<void*, 1> frame;
  ::backtrace(frame.data(), 1);
}

// Async-signal-safe: write, backtrace after its first call, abort.
void bark(int /*signo*/, siginfo_t* info, void* /*context*/) {
  const auto* dog = static_cast<const Watchdog*>(info->si_value.sival_ptr);
  if (::write(STDERR_FILENO, dog->message().data(), dog->message().size()) < 0) std::abort();
  std::array<void*, 64> frames;
  const int depth = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  ::backtrace_symbols_fd(frames.data(), depth, STDERR_FILENO);
  std::abort();
}

void install_handler() {
  struct sigaction action {};
  action.sa_sigaction = &bark;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  if (::sigaction(SIGALRM, &action, nullptr) != 0) throw_errno("sigaction");
}

}  // namespace

Watchdog::Watchdog(std::chrono::seconds patience)
    : message_{"\nWatchdog: no end after " + std::to_string(patience.count()) + " s: " + test_name() + "\n"} {
  prepare_backtrace();
  install_handler();
  start_timer(patience);
}

Watchdog::~Watchdog() { ::timer_delete(timer_); }

void Watchdog::start_timer(std::chrono::seconds patience) {
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

}  // namespace multiprocessing::testing
