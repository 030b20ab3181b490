// Proxies of a manager's locks, semaphores, conditions, events and barriers: the interface of synchronize.hpp, between
// processes that share nothing but the manager.  What holds of every proxy: proxies.hpp.
//
//   mp::LockProxy lock = manager.lock();
//   std::scoped_lock hold(lock);
#pragma once

#include <chrono>
#include <optional>
#include <utility>

#include "multiprocessing/detail/manager_client.hpp"
#include "multiprocessing/synchronize.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace managers {
// acquire, release and the standard's names for them.
template <class Self>
class LockBase : public ProxyBase, public synchronize::Lockable<Self> {
 public:
  void release() const { static_cast<void>(ask(Op::release_lock).send()); }

 protected:
  using ProxyBase::ProxyBase;

 private:
  friend synchronize::Lockable<Self>;
  bool acquire_until(Deadline deadline) const { return !ask(Op::acquire, deadline).send().timed_out(); }
};
}  // namespace managers

class LockProxy : public managers::LockBase<LockProxy> {
 public:
  explicit LockProxy(codec::Undecoded) noexcept {}
  explicit LockProxy(managers::Object object) noexcept : LockBase(std::move(object)) {}
  [[nodiscard]] bool owner_died() const { return ask(managers::Op::owner_died).send().number() != 0; }
};

class RLockProxy : public managers::LockBase<RLockProxy> {
 public:
  explicit RLockProxy(codec::Undecoded) noexcept {}
  explicit RLockProxy(managers::Object object) noexcept : LockBase(std::move(object)) {}
  [[nodiscard]] bool owner_died() const { return ask(managers::Op::owner_died).send().number() != 0; }
};

// Of a SemaphoreProxy and a BoundedSemaphoreProxy a dead process's units, acquired less released by it, come back.
class SemaphoreProxy : public managers::LockBase<SemaphoreProxy> {
 public:
  explicit SemaphoreProxy(codec::Undecoded) noexcept {}
  explicit SemaphoreProxy(managers::Object object) noexcept : LockBase(std::move(object)) {}
  [[nodiscard]] int get_value() const { return static_cast<int>(ask(managers::Op::get_value).send().number()); }
};

class BoundedSemaphoreProxy : public managers::LockBase<BoundedSemaphoreProxy> {
 public:
  explicit BoundedSemaphoreProxy(codec::Undecoded) noexcept {}
  explicit BoundedSemaphoreProxy(managers::Object object) noexcept : LockBase(std::move(object)) {}
  [[nodiscard]] int get_value() const { return static_cast<int>(ask(managers::Op::get_value).send().number()); }
};

class ConditionProxy : public managers::LockBase<ConditionProxy> {
  using Deadline = managers::Deadline;

 public:
  explicit ConditionProxy(codec::Undecoded) noexcept {}
  explicit ConditionProxy(managers::Object object) noexcept : LockBase(std::move(object)) {}
  bool wait() const { return wait_until(Deadline::never()); }
  template <class Rep, class Period>
  bool wait(std::chrono::duration<Rep, Period> patience) const {  // false: not notified within `patience`
    return wait_until(Deadline::after(patience));
  }
  template <class Predicate>
  bool wait_for(Predicate predicate) const {
    return wait_for_until(predicate, Deadline::never());
  }
  template <class Predicate, class Rep, class Period>
  bool wait_for(Predicate predicate, std::chrono::duration<Rep, Period> patience) const {
    return wait_for_until(predicate, Deadline::after(patience));
  }
  void notify(int waiters = 1) const { static_cast<void>(ask(managers::Op::notify).numbers(waiters).send()); }
  void notify_all() const { notify(-1); }

 private:
  bool wait_until(Deadline deadline) const {
    // It returns with the lock, for which it waits as long as somebody else has it.
    const managers::Answer answer = ask(managers::Op::wait, deadline).however_long().send();
    return !answer.timed_out() && answer.number() != 0;
  }
  template <class Predicate>
  bool wait_for_until(Predicate& predicate, Deadline deadline) const {
    while (!predicate()) {
      if (!wait_until(deadline)) return static_cast<bool>(predicate());
    }
    return true;
  }
};

class EventProxy : public managers::ProxyBase {
 public:
  explicit EventProxy(codec::Undecoded) noexcept {}
  explicit EventProxy(managers::Object object) noexcept : ProxyBase(std::move(object)) {}
  void set() const { static_cast<void>(ask(managers::Op::event_set).send()); }
  void clear() const { static_cast<void>(ask(managers::Op::event_clear).send()); }
  [[nodiscard]] bool is_set() const { return ask(managers::Op::is_set).send().number() != 0; }
  bool wait() const { return !ask(managers::Op::wait).send().timed_out(); }
  template <class Rep, class Period>
  bool wait(std::chrono::duration<Rep, Period> patience) const {  // false: not within `patience`
    return !ask(managers::Op::wait, managers::Deadline::after(patience)).send().timed_out();
  }
};

class BarrierProxy : public managers::ProxyBase {
  using Op = managers::Op;

 public:
  explicit BarrierProxy(codec::Undecoded) noexcept {}
  explicit BarrierProxy(managers::Object object) noexcept : ProxyBase(std::move(object)) {}
  int wait() const { return static_cast<int>(ask(Op::wait).send().number()); }
  template <class Rep, class Period>
  int wait(std::chrono::duration<Rep, Period> patience) const {
    return static_cast<int>(ask(Op::wait, managers::Deadline::after(patience)).send().number());
  }
  void reset() const { static_cast<void>(ask(Op::barrier_reset).send()); }
  void abort() const { static_cast<void>(ask(Op::barrier_abort).send()); }
  [[nodiscard]] int parties() const { return static_cast<int>(ask(Op::parties).send().number()); }
  [[nodiscard]] int n_waiting() const { return static_cast<int>(ask(Op::n_waiting).send().number()); }
  [[nodiscard]] bool broken() const { return ask(Op::broken).send().number() != 0; }
};

}  // namespace multiprocessing

#pragma GCC visibility pop
