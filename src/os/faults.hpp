// The two seams that exist only in the testing build of the library (MULTIPROCESSING_TESTING):
//
//   os::faults::fail(Call::memfd_create, ENOMEM);    the next such call fails with ENOMEM
//   os::steps::kill_at("queue.put.copied", 3);       SIGKILL when this process passes that step for the 3rd time
//
// In the production build both compile to nothing: injected() is a constant 0 and MULTIPROCESSING_STEP() is empty.
// A step stands in a commit protocol directly after the store (or copy) its name tells; the table above the protocol
// says what others see when a process dies there.
#pragma once

#ifdef MULTIPROCESSING_WITHOUT_STEPS
#error "a file that includes os/faults.hpp, itself or by another header, belongs to SOURCES_WITH_STEPS of its layer"
#endif

#include <string_view>

namespace multiprocessing::os {

enum class Call {
  memfd_create,
  ftruncate,
  mmap,
  madvise,
  fork,
  pidfd_open,
  waitid,
  poll,
  socketpair,
  send,
  receive,
  futex_wait,
  epoll,
  timerfd,
  duplicate,
  write,
  eventfd,
  futex_wait_any,
  socket,
  accept,
  connect,
  open,
  unlink,
  rename,
  flock,
  fallocate,
  count_,
};

namespace faults {
// Lets `pass` calls through and then fails `times` of them with `error`.  Process-wide, inherited by fork.
void fail(Call call, int error, int pass = 0, int times = 1);
void clear();
}  // namespace faults

namespace steps {
// Kills this process when it reaches the step for the nth time.  Inherited by fork; reached() counts per process.
void kill_at(std::string_view step, int nth = 1);
// Not this process, but programs that it executes from now on, each by itself.
void kill_executed_at(std::string_view step, int nth = 1);
// Instead of dying, stops (SIGSTOP) at the step: for tests that need somebody to stand in the middle.
void stop_at(std::string_view step, int nth = 1);
void clear();
void reached(const char* step) noexcept;
}  // namespace steps

#ifdef MULTIPROCESSING_TESTING
[[nodiscard]] int injected(Call call) noexcept;  // 0, or the errno this call has to fail with
#define MULTIPROCESSING_STEP(name) ::multiprocessing::os::steps::reached(name)
#else
[[nodiscard]] constexpr int injected(Call) noexcept { return 0; }
#define MULTIPROCESSING_STEP(name) static_cast<void>(0)
#endif

}  // namespace multiprocessing::os
