// Locks, semaphores, events, conditions and barriers between processes, as Python's multiprocessing.
//
//   void buy(int who, mp::Lock lock) {
//     std::scoped_lock hold(lock);                  // or lock.acquire(); … lock.release();
//     …
//   }
//   mp::Lock lock;
//   for (int j = 0; j < 20; ++j) { mp::Process p(buy, j, lock); p.start(); }
//
// Each is a handle: a cheap copy of one object in the family's shared memory (a few words).  Give it to a process, to a
// task of a pool or through a queue; the object goes when the last process lets go of it.  All calls are const.
//
// When a process dies, by any means and at any instruction, nobody is blocked for ever by what it had:
//   Lock, RLock      go to the next who wants them; owner_died() tells that one that the data may be half changed
//   Semaphore        what a dead process had acquired and not released comes back, within half a second when somebody
//                    waits for it.  A process that returns from its target or calls exit() takes its units with it, as
//                    in Python; one that was killed, or called _exit(), does not
//   Condition        a dead waiter is passed over: a notification goes to a living one.  One that died after it was
//                    notified and before it returned hands its notification on with the next notify()
//   Event            nothing to recover
//   Barrier          it breaks: the others get BrokenBarrier, within 100 ms
//
// Lock, RLock, Semaphore, BoundedSemaphore and Condition have the standard's names too (lock, try_lock, try_lock_for,
// try_lock_until, unlock), so std::scoped_lock and std::unique_lock work.
//
// Threads: all calls from any thread; the owner of a lock is a thread, and one that ends with it counts as dead.
// Fork: a child does not own what its parent holds.  A handle that goes while the thread still holds the lock releases it.
// Errors: std::logic_error for what Python calls RuntimeError or AssertionError (releasing what one does not hold);
// std::invalid_argument for ValueError; OsError when there is no memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/detail/ref.hpp"
#include "multiprocessing/detail/undecoded.hpp"
#include "multiprocessing/errors.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace synchronize {

using detail::Deadline;

// What all handles here have in common: they travel inside messages (serialize.hpp).
template <memory::Kind kind>
class Handle {
 public:
  template <class Archive>
  void save(Archive& archive) const {
    archive.carry(ref_);
  }
  template <class Archive>
  void load(Archive& archive) {
    ref_ = archive.adopt();
    require_kind(ref_, kind);
  }

 protected:
  explicit Handle(memory::Ref ref) noexcept : ref_(std::move(ref)) {}
  memory::Ref ref_;

 private:
  static void require_kind(const memory::Ref& ref, memory::Kind expected) {
    if (ref.kind() != expected) throw TypeMismatch("the received handle is of another kind than expected");
  }
};

// Python's and the standard's names for what `Self` calls acquire_until() and release().
template <class Self>
class Lockable {
 public:
  // Waits; true.
  bool acquire() const { return self().acquire_until(Deadline::never()); }
  // False: not within `patience`.
  template <class Rep, class Period>
  bool acquire(std::chrono::duration<Rep, Period> patience) const {
    return self().acquire_until(Deadline::after(patience));
  }
  [[nodiscard]] bool try_acquire() const { return self().acquire_until(Deadline::passed()); }

  void lock() const { acquire(); }
  [[nodiscard]] bool try_lock() const { return try_acquire(); }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> patience) const {
    return acquire(patience);
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(std::chrono::time_point<Clock, Duration> when) const {
    return acquire(when - Clock::now());
  }
  void unlock() const { self().release(); }

 private:
  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }
};

}  // namespace synchronize

// One holder at a time.  Unlike Python's it is released by its holder only (std::logic_error for anyone else); a second
// acquire by the holder waits, as there.
class Lock : public synchronize::Handle<memory::Kind::lock>, public synchronize::Lockable<Lock> {
 public:
  Lock();
  explicit Lock(codec::Undecoded) noexcept;
  void release() const;
  // True for the holder that took it from a dead one, until it releases it.
  [[nodiscard]] bool owner_died() const noexcept;

 private:
  friend Lockable;
  friend class Condition;
  bool acquire_until(detail::Deadline deadline) const;
};

// The same, but its holder may acquire it again, and has to release it as often.
class RLock : public synchronize::Handle<memory::Kind::rlock>, public synchronize::Lockable<RLock> {
 public:
  RLock();
  explicit RLock(codec::Undecoded) noexcept;
  void release() const;
  [[nodiscard]] bool owner_died() const noexcept;

 private:
  friend Lockable;
  friend class Condition;
  template <class>
  friend class Value;
  template <class>
  friend class Array;
  explicit RLock(memory::Ref ref) noexcept : Handle(std::move(ref)) {}
  bool acquire_until(detail::Deadline deadline) const;
};

struct SemaphoreOptions {
  int value = 1;
  // False: nothing comes back from a dead process.  For a semaphore that is a signal, which one process releases and
  // another acquires, so that what a process has acquired says nothing about what it owes.
  bool recover = true;
};

// `value` units; acquire() takes one, release() puts one back, anyone may.
class Semaphore : public synchronize::Handle<memory::Kind::semaphore>, public synchronize::Lockable<Semaphore> {
 public:
  explicit Semaphore(int value = 1) : Semaphore(SemaphoreOptions{.value = value}) {}
  explicit Semaphore(SemaphoreOptions options) : Semaphore(options, false) {}
  explicit Semaphore(codec::Undecoded) noexcept;
  void release() const;
  [[nodiscard]] int get_value() const;

 protected:
  Semaphore(SemaphoreOptions options, bool bounded);  // throws std::invalid_argument when value < 0

 private:
  friend Lockable;
  bool acquire_until(detail::Deadline deadline) const;
};

// A semaphore that never has more units than it began with: one release() too many throws std::invalid_argument.
class BoundedSemaphore : public Semaphore {
 public:
  explicit BoundedSemaphore(int value = 1) : Semaphore({.value = value}, true) {}
  explicit BoundedSemaphore(SemaphoreOptions options) : Semaphore(options, true) {}
  explicit BoundedSemaphore(codec::Undecoded undecoded) noexcept;
};

// A flag that processes wait for.
class Event : public synchronize::Handle<memory::Kind::event> {
 public:
  Event();
  explicit Event(codec::Undecoded) noexcept;
  void set() const;
  void clear() const;
  [[nodiscard]] bool is_set() const noexcept;
  // True at once when it is set, or as soon as it is, also when it is cleared again at once.
  bool wait() const { return wait_until(detail::Deadline::never()); }
  template <class Rep, class Period>
  bool wait(std::chrono::duration<Rep, Period> patience) const {  // false: not within `patience`
    return wait_until(detail::Deadline::after(patience));
  }

 private:
  bool wait_until(detail::Deadline deadline) const;
};

// Waiting for a change of what a lock protects.
//
//   mp::Condition changed;                                     // with an RLock of its own, or Condition(lock)
//   { std::scoped_lock hold(changed); changed.wait_for([&] { return ready.get(); }); }
//   { std::scoped_lock hold(changed); ready.set(true); changed.notify(); }
//
// wait and notify without the lock throw std::logic_error.  wait() returns when it was notified, and only then.
class Condition : public synchronize::Handle<memory::Kind::condition>, public synchronize::Lockable<Condition> {
 public:
  Condition();
  explicit Condition(const Lock& lock);
  explicit Condition(const RLock& lock);
  explicit Condition(codec::Undecoded) noexcept;

  bool wait() const { return wait_until(detail::Deadline::never()); }
  template <class Rep, class Period>
  bool wait(std::chrono::duration<Rep, Period> patience) const {  // false: not notified within `patience`
    return wait_until(detail::Deadline::after(patience));
  }
  // Waits until `predicate()`; what it said last.
  template <class Predicate>
  bool wait_for(Predicate predicate) const {
    return wait_for_until(predicate, detail::Deadline::never());
  }
  template <class Predicate, class Rep, class Period>
  bool wait_for(Predicate predicate, std::chrono::duration<Rep, Period> patience) const {
    return wait_for_until(predicate, detail::Deadline::after(patience));
  }
  void notify(int waiters = 1) const;  // the longest waiting first
  void notify_all() const;

  void release() const;
  [[nodiscard]] bool owner_died() const noexcept;

  template <class Archive>
  void save(Archive& archive) const {
    Handle::save(archive);
    archive.carry(lock_);
  }
  template <class Archive>
  void load(Archive& archive) {
    Handle::load(archive);
    lock_ = archive.adopt();
    require_lock();
  }

 private:
  friend Lockable;
  explicit Condition(memory::Ref lock);
  void require_lock() const;
  void require_held(const char* what) const;
  bool acquire_until(detail::Deadline deadline) const;
  bool wait_until(detail::Deadline deadline) const;
  template <class Predicate>
  bool wait_for_until(Predicate& predicate, detail::Deadline deadline) const {
    while (!predicate()) {
      if (!wait_until(deadline)) return static_cast<bool>(predicate());
    }
    return true;
  }

  memory::Ref lock_;
};

// `parties` processes or threads wait for each other, and go on together; then it can be used again.
//
//   mp::Barrier barrier(4);
//   if (barrier.wait() == 0) std::puts("all are here");       // each gets another number: 0 … parties - 1
//
// `action` is run by the last to arrive, before the others go on.  It belongs to this handle and its copies, also in
// forked children; a barrier that has one cannot be sent in a message (NotSendable).  `patience`, what wait() has when it
// is given none, belongs to the handle too and travels with it.
// A party that dies, one that waits longer than `patience`, abort() and an exception in the action break the barrier:
// whoever waits, or comes later, gets BrokenBarrier, until reset().
class Barrier : public synchronize::Handle<memory::Kind::barrier> {
 public:
  explicit Barrier(int parties) : Barrier(parties, std::function<void()>()) {}
  Barrier(int parties, std::function<void()> action);  // throws std::invalid_argument when parties < 1
  template <class Rep, class Period>
  Barrier(int parties, std::function<void()> action, std::chrono::duration<Rep, Period> patience)
      : Barrier(parties, std::move(action)) {
    patience_ = std::chrono::duration_cast<std::chrono::nanoseconds>(patience);
  }
  explicit Barrier(codec::Undecoded) noexcept;

  int wait() const {
    return wait_until(patience_ ? detail::Deadline::after(*patience_) : detail::Deadline::never());
  }
  template <class Rep, class Period>
  int wait(std::chrono::duration<Rep, Period> patience) const {
    return wait_until(detail::Deadline::after(patience));
  }
  void reset() const;  // those who wait get BrokenBarrier; the barrier is as new
  void abort() const;  // breaks it
  [[nodiscard]] int parties() const noexcept;
  [[nodiscard]] int n_waiting() const;
  [[nodiscard]] bool broken() const noexcept;

  template <class Archive>
  void save(Archive& archive) const {
    require_sendable();
    Handle::save(archive);
    archive(patience_ ? std::int64_t{patience_->count()} : no_patience);
  }
  template <class Archive>
  void load(Archive& archive) {
    Handle::load(archive);
    std::int64_t patience = no_patience;
    archive(patience);
    patience_.reset();
    if (patience != no_patience) patience_ = std::chrono::nanoseconds(patience);
  }

 private:
  static constexpr std::int64_t no_patience = INT64_MIN;  // in a message: the handle waits for ever
  void require_sendable() const;
  int wait_until(detail::Deadline deadline) const;

  std::function<void()> action_;
  std::optional<std::chrono::nanoseconds> patience_;
};

}  // namespace multiprocessing

#pragma GCC visibility pop
