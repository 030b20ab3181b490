// Processes that die where a test wants it.
//
//   Child child{Child::member, [&] { operation(); }};      // forked by memory::fork_member()
//   EXPECT_EQ(child.wait(), 0);                             // 0; -9: killed by SIGKILL; anything else: it failed
//
//   // Every store boundary of an operation: killed at the first step of that name, at the second …, until it survives.
//   for (int nth = 1; dies_at("arena.changed", nth, [&] { return [&] { operation(); }; }); ++nth) { look around }
//
// A child never returns into the test: it ends by _exit, without the destructors and the output of its parent.  An
// exception, or require() that does not hold, is printed and ends it with `failed`.
// Steps need the testing build of the library (os/faults.hpp); Child alone works with both.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <functional>
#include <string_view>

#include "memory/family.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"

namespace multiprocessing::testing {

inline constexpr int failed = 99;  // exit status of a child whose expectations did not hold

// For code in a child: gtest's EXPECT_… would be lost with the process.
void require(bool holds, const char* what);
#define MP_REQUIRE(condition) ::multiprocessing::testing::require((condition), #condition)

class Child {
 public:
  enum Making { member, plain };  // by memory::fork_member(); by fork(), for tests without an arena

  template <class Body>
  Child(Making making, Body&& body) {
    if (fork(making)) run_as_child(std::ref(body));
  }
  Child(Child&&) = default;
  ~Child();

  // Waits for the end, reaps the process and, if it was one, the member.  The exit code, or -signal.
  int wait();
  void reap_as_member() const;
  // The same without reap_member(): the arena stays as the child has left it.
  int wait_unreaped();

  void signal(int number) const { os::pidfd_signal(pidfd_.get(), number); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] memory::MemberId id() const { return member_; }
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }

 private:
  bool fork(Making making);  // true: in the child
  [[noreturn]] static void run_as_child(const std::function<void()>& body);

  pid_t pid_ = 0;
  memory::MemberId member_ = 0;
  bool is_member_ = false;
  base::Fd pidfd_;
};

// Waits until the process has stopped itself at a step (os::steps::stop_at).
void wait_stopped(const Child& child);

#ifdef MULTIPROCESSING_TESTING

// A child calls `prepare`, is then armed to die at the nth `step`, and calls what `prepare` has returned.
// True: it died there.  False: it came through.  Anything else fails the test (and gives false).
template <class Prepare>
[[nodiscard]] bool dies_at(std::string_view step, int nth, Prepare&& prepare, Child::Making making = Child::member) {
  Child child{making, [&] {
                auto operation = prepare();
                os::steps::kill_at(step, nth);
                operation();
                os::steps::clear();
                ::_exit(0);  // what `operation` holds goes with the process, and is not part of the operation
              }};
  const int status = child.wait();
  if (status == -SIGKILL) return true;
  EXPECT_EQ(status, 0) << "the child failed by itself, armed for " << step << " number " << nth;
  return false;
}

#endif

}  // namespace multiprocessing::testing
