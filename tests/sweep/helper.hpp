// Helper: another process of the family, for scenarios in which somebody sleeps, waits or has died.
//
//   Helper sleeper([&] { … });                 check.that(sleeper.ends_well(), "the sleeper sleeps on");
//   const Dead owner([&] { lock.acquire(); });  // has done that, and died by SIGKILL
#pragma once

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <exception>

#include "memory/family.hpp"
#include "os/os.hpp"

namespace multiprocessing::sweep {

class Helper {
 public:
  template <class Body>
  explicit Helper(Body body) : process_(memory::fork_member()) {
    if (process_.pid != 0) return;
    os::set_parent_death_signal(SIGKILL);
    try {
      body();
    } catch (const std::exception&) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;
  ~Helper() {
    if (process_.pidfd) os::pidfd_signal(process_.pidfd.get(), SIGKILL);
    static_cast<void>(end(os::Deadline::never()));
    reap();
  }

  // Comes to its end, by itself, within a time that only a hang takes.
  [[nodiscard]] bool ends_well() { return end(os::Deadline::after(std::chrono::seconds(5))) == 0; }

  // As a member: once, and no sooner than it has ended.
  void reap() {
    if (is_member_) memory::reap_member(process_.member);
    is_member_ = false;
  }
  [[nodiscard]] memory::MemberId id() const { return process_.member; }

 private:
  int end(os::Deadline deadline) {
    if (!process_.pidfd) return status_;
    if (!os::wait_ended(process_.pidfd.get(), deadline)) return -1;
    os::Ending ending;
    os::reap(process_.pidfd.get(), ending);
    process_.pidfd.reset();
    return status_ = ending.status;
  }

  memory::Forked process_;
  bool is_member_ = true;
  int status_ = 0;
};

// A helper that is dead already, and not yet reaped as a member.
class Dead : public Helper {
 public:
  template <class Body>
  explicit Dead(Body body)
      : Helper([&body] {
          body();
          ::kill(::getpid(), SIGKILL);
        }) {
    static_cast<void>(ends_well());
  }
};

template <class Condition>
void yield_until(Condition condition) {
  while (!condition()) ::sched_yield();
}

}  // namespace multiprocessing::sweep
