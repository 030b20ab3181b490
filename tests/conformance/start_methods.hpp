// The claims of Python's documentation are made for every start method there is.
//
//   class QueueClaims : public EveryStartMethod {};
//   FOR_EVERY_START_METHOD(QueueClaims);
//
//   TEST_P(QueueClaims, AnItemThatOneProcessPutsAnotherGets) {
//     mp::Queue<int> queue;
//     start([](mp::Queue<int> q) { q.put(1); }, queue);
//     EXPECT_EQ(queue.get(), 1);
//   }
//
// A target is a function or a lambda without captures, and gets what it uses as arguments: that is what a process which is
// no fork can be given.
//
// Every process that start() has started is joined at the end of its test, and must have ended with exit code 0.  It is a
// daemon, so that it goes too when the watchdog ends a test that hangs.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <list>
#include <multiprocessing/multiprocessing.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "support/watchdog.hpp"

namespace multiprocessing::testing {

inline std::string method_name(const ::testing::TestParamInfo<StartMethod>& info) { return name_of(info.param); }

#define FOR_EVERY_START_METHOD(Suite)                                                                 \
  INSTANTIATE_TEST_SUITE_P(EveryStartMethod, Suite,                                                   \
                           ::testing::ValuesIn(::multiprocessing::get_all_start_methods()),           \
                           ::multiprocessing::testing::method_name)

// Long enough that what does not wait has gone on, short enough for a test: it decides no claim wrongly when it is over.
inline constexpr std::chrono::milliseconds a_moment{20};

// For processes, where EXPECT_… is lost: the exception ends the process with exit code 1, and is printed.
inline void require(bool holds, int line = __builtin_LINE()) {  // clang 14 has no std::source_location
  if (!holds) throw std::runtime_error("not true: line " + std::to_string(line));
}

// Others must make it true; the watchdog is the limit.
template <class Condition>
void until(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

class EveryStartMethod : public ::testing::TestWithParam<StartMethod> {
 protected:
  template <class Target, class... Args>
  Process& start(Target target, Args... args) {
    static_assert(std::is_empty_v<Target> || std::is_pointer_v<Target>, "pass the captures as arguments");
    children_.push_back(made_by(GetParam(), std::move(target), std::move(args)...));
    children_.back().start();
    return children_.back();
  }

  void join_all() {
    for (Process& child : children_) {
      child.join();
      EXPECT_EQ(child.exitcode(), 0) << child.name();
    }
    children_.clear();
  }

  // SIGKILL; it is gone when this returns, and need not have ended well.
  void kill(Process& child) {
    child.kill();
    child.join();
    children_.remove_if([&](const Process& other) { return &other == &child; });
  }

  void TearDown() override { join_all(); }

 private:
  template <class... Call>
  static Process made_by(StartMethod method, Call&&... call) {
    return get_context(method).process({.daemon = true}, std::forward<Call>(call)...);
  }

  Watchdog dog_{std::chrono::seconds{120}};
  std::list<Process> children_;
};

// A started process's or thread's way to be seen: `about` is set directly before a call that may block, `done` after it.
//
//   start([](mp::Lock lock, Steps steps) { steps.around([&] { lock.acquire(); }); }, lock, steps);
//   EXPECT_TRUE(steps.blocks());                       // it has got to the call, and not behind it
struct Steps {
  Event about;
  Event done;

  template <class Call>
  void around(Call call) const {
    about.set();
    call();
    done.set();
  }
  [[nodiscard]] bool blocks() const { return about.wait() && !done.wait(a_moment); }
};

}  // namespace multiprocessing::testing
