// The life of a child between fork (or main's place, see before_main.hpp) and _exit, and what every process does at its end.
//
//  died …                              what the others see
//  parent, before fork_member          nothing has happened
//  parent, in fork_member              the child waits at its gate, sees that the parent is gone and ends
//  parent, after it                    a started child whose parent died: a daemon ends, another runs to its end
//  child, anywhere                     pidfd readable, exit code -9; join() returns, its memory is given back
//
// Steps: process.child.forked, .entered, .ready, .finished, .flushed; process.start.planned, .forked, .registered.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "process/child.hpp"
#include "process/identity.hpp"
#include "process/preparation.hpp"

namespace multiprocessing {
class Process;
}

namespace multiprocessing::process_ {

// All that a child needs to begin, made by its parent before the fork: the child allocates nothing until its target
// runs.
struct ChildPlan {
  explicit ChildPlan(const Child& child);
  ChildPlan(const Preparation& preparation, bool by_main_thread);  // in a child that is no copy of its parent
  [[nodiscard]] Preparation preparation() const;                   // in its parent

  std::unique_ptr<Identity> identity;
  pid_t parent;
  bool forked_by_main_thread;
  bool forked_by_single_thread;
};

// In a child that is no copy of its parent, before any code of the program: what holds for the whole program is as in its
// parent.
void inherit_settings(const Preparation& preparation);

// In the child: takes up its identity, binds it to its parent if it is a daemon, sees to its end.
void enter_child(ChildPlan& plan);
// The last part of it.
void settle_child(bool with_exit_handler = true);

// Ends a child: waits for its own children, writes out what the standard streams hold, and is gone without any of the
// exit handlers and static destructors that it inherited.
[[noreturn]] void leave_child(int status);

// From within a handler: to stderr, with the name of the process.
void print_uncaught(const std::string& name) noexcept;

// The whole of it.
[[noreturn]] void run_child(ChildPlan& plan, Child& record, Process& process);

// The whole of it after enter_child(), in a child that is no copy of its parent.
[[noreturn]] void run_received(Received start, const Preparation& preparation);

// What the C library and the standard streams hold back for stdout and stderr, and nothing else: fflush(nullptr) would
// wait for any FILE that another thread is reading from.  Before a fork, lest it be written twice.
void flush_standard_streams() noexcept;

// Lets this process wait for its children when it ends.  Once is enough; more do no harm.
void register_exit_handler();

}  // namespace multiprocessing::process_
