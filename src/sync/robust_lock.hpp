// RobustLock: a mutex in shared memory that outlives its holders.
//
//   if (lock.acquire(deadline) == Acquired::from_dead_owner) { … the state may be half-way through a step … }
//   lock.release();
//
// Invariants
//   1. What a lock protects is valid at every instruction, because its protocol commits by one store (or by a log);
//      so taking over from a dead owner needs no repair here, only a word to the caller.
//   2. Every wait is bounded and looks again: an untimed pthread lock wedges when the hand-off wake-up goes to a
//      process that dies (8 of 12 storms; with a 20 ms limit 0 of 12 × 4,000 kills).
//   3. The holder runs no user code and no serializer, and allocates nothing.
//   4. The memory stays mapped until release() has returned (glibc BZ 14485).
// Threads: an owner is a thread; a thread that ends while it holds the lock counts as dead.  A forked child never
// owns what its parent held.  Not for signal handlers.
#pragma once

#include <linux/futex.h>
#include <pthread.h>

#include <cerrno>

#include "multiprocessing/detail/deadline.hpp"
#include "os/faults.hpp"
#include "sync/thread_id.hpp"

namespace multiprocessing::sync {

using detail::Deadline;

enum class Acquired { normally, from_dead_owner, timed_out };

class RobustLock {
 public:
  RobustLock() noexcept;  // once, in the shared memory, before anyone else sees it
  RobustLock(const RobustLock&) = delete;
  RobustLock& operator=(const RobustLock&) = delete;

  [[nodiscard]] Acquired acquire(Deadline deadline) noexcept;
  Acquired acquire() noexcept { return acquire(Deadline::never()); }
  [[nodiscard]] Acquired try_acquire() noexcept {  // timed_out: somebody holds it now
    const int error = pthread_mutex_trylock(&mutex_);
    return error == 0 || error == EOWNERDEAD ? taken(error) : Acquired::timed_out;
  }
  void release() noexcept {
    MULTIPROCESSING_STEP("lock.before_release");
    pthread_mutex_unlock(&mutex_);
  }
  [[nodiscard]] bool is_held_by_caller() const noexcept { return owner() == thread_id(); }
  // It can be a lock of this class: for memory that strangers share.  Taking one that is none ends the process.
  [[nodiscard]] bool is_sound() const noexcept;
  [[nodiscard]] bool is_held_in_this_process() const noexcept;  // by any thread; a system call unless it is free

 private:
  Acquired acquire_contended(Deadline deadline) noexcept;
  // The lock is ours; `error` says from whom.
  Acquired taken(int error) noexcept { return error == 0 ? Acquired::normally : taken_from_dead_owner(); }
  Acquired taken_from_dead_owner() noexcept;
  // The kernel's robust-futex ABI (Documentation/locking/robust-futex-ABI.rst) puts the owner's thread id into the
  // lock's word, and takes it out when the owner dies; the C library keeps to it, and the word is the first of its mutex.
  [[nodiscard]] pid_t owner() const noexcept {
    const int word = __atomic_load_n(&mutex_.__data.__lock, __ATOMIC_RELAXED);
    return static_cast<pid_t>(static_cast<unsigned>(word) & FUTEX_TID_MASK);
  }
  pthread_mutex_t mutex_;
};

// Holds a lock for a scope.
class Holding {
 public:
  explicit Holding(RobustLock& lock) noexcept : lock_(lock), how_(lock.acquire()) {}
  ~Holding() { lock_.release(); }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  [[nodiscard]] bool from_dead_owner() const noexcept { return how_ == Acquired::from_dead_owner; }

 private:
  RobustLock& lock_;
  Acquired how_;
};

}  // namespace multiprocessing::sync
