// Registry: the children that this process has started and not yet seen end.  It keeps their records, so that
// a Process object can be thrown away, and settles accounts with them when the process ends.
//
// One per process.  A forked process finds the inherited one, sees by its owner that it is a copy, and makes
// its own; the copy is never locked (a thread that is not there may have it locked) and never destroyed.
#pragma once

#include <sys/types.h>

#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "process/child.hpp"

namespace multiprocessing::process_ {

class Registry {
 public:
  using Node = std::list<std::shared_ptr<Child>>;  // of one element: made before the fork, so that adding cannot fail

  static Registry& current();
  // Ends what current() holds if this process has ever asked for it.
  static void finish_current() noexcept;

  void add(Node&& child) noexcept;
  void forget(const Child& child) noexcept;
  void reap_ended();
  [[nodiscard]] std::vector<std::shared_ptr<Child>> alive();

  // For what other threads read of a child while its Process object may change it: its name.
  template <class F>
  auto under_lock(F f) {
    const std::lock_guard lock(mutex_);
    return f();
  }

 private:
  explicit Registry(const Registry* inherited) noexcept;

  // The end of this process: daemons get SIGTERM, those that outlive the grace SIGKILL; then it waits for
  // all.
  void finish() noexcept;
  [[nodiscard]] std::shared_ptr<Child> any();

  const pid_t owner_;
  [[maybe_unused]] const Registry* const inherited_;  // never used; keeps it reachable for leak checkers
  std::mutex mutex_;                                  // taken before a child's
  std::list<std::shared_ptr<Child>> children_;
};

}  // namespace multiprocessing::process_
