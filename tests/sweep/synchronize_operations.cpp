// What synchronises: whoever comes next is not blocked by what a dead one had, waited for, or was about to tell.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <tuple>

#include "multiprocessing/synchronize.hpp"
#include "support/shared.hpp"
#include "sweep/helper.hpp"
#include "sweep/queue_scenario.hpp"
#include "sweep/sweep.hpp"

namespace multiprocessing::sweep {
namespace {

using namespace std::chrono_literals;

constexpr auto ages = 5s;

struct LockAcquire : Scenario {
  Lock lock;
  void operation() override { lock.acquire(); }
  void survivors(const Death& death, Check& check) override {
    if (!lock.acquire(ages)) return check.that(false, "the lock is wedged");
    check.effect(lock.owner_died());
    check.that(lock.owner_died() || !death.returned, "the death of an owner was not told");
    lock.release();
    check.that(lock.acquire(ages) && !lock.owner_died(), "a lock that was mended is not as good as before");
    lock.release();
  }
};

struct LockRelease : LockAcquire {
  void before() override { lock.acquire(); }
  void operation() override { lock.release(); }
  void survivors(const Death& /*death*/, Check& check) override {
    if (!lock.acquire(ages)) return check.that(false, "the lock is wedged");
    check.effect(!lock.owner_died());
    lock.release();
  }
};

// What the dead one had comes back as soon as it is reaped; before that a waiter needs half a second, for each point.
struct SemaphoreAcquire : Scenario {
  Semaphore semaphore{1};
  void operation() override { semaphore.acquire(); }
  void survivors(const Death& death, Check& check) override {
    const int value = semaphore.get_value();
    check.that(value == 0 || value == 1, "there are " + std::to_string(value) + " units of one");
    if (!death.reaped) return;
    check.that(semaphore.acquire(ages), "what a dead one had does not come back");
    check.that(!semaphore.try_acquire(), "there are two units of one");
    semaphore.release();
  }
};

struct SemaphoreRelease : SemaphoreAcquire {
  void before() override { semaphore.acquire(); }
  void operation() override { semaphore.release(); }
};

struct EventSet : Scenario {
  Event event;
  std::optional<Helper> sleeper{[this] { event.wait(); }};
  void operation() override { event.set(); }
  void survivors(const Death& death, Check& check) override {
    check.effect(event.is_set());
    check.that(event.is_set() || !death.returned, "an event that was set is not");
    if (!event.is_set()) event.set();
    check.that(sleeper->ends_well(), "a sleeper sleeps on");
  }
};

struct ConditionScenario : Scenario {
  Condition condition;
  testing::Shared<std::atomic<int>> state;
  testing::Shared<std::atomic<int>> waiting;

  void wait_for_state(int wanted) {
    condition.acquire();
    ++*waiting;
    condition.wait_for([&] { return *state >= wanted; });
    condition.release();
  }
  // Everyone who waits is told, by a living one.
  void change(int to, Check& check) {
    if (!condition.acquire(ages)) return check.that(false, "the condition's lock is wedged");
    *state = to;
    condition.notify_all();
    condition.release();
  }
};

struct ConditionNotify : ConditionScenario {
  std::optional<Helper> waiter{[this] { wait_for_state(1); }};
  ConditionNotify() {
    yield_until([this] { return *waiting == 1; });
  }
  void before() override { condition.acquire(); }
  void operation() override {
    *state = 1;
    condition.notify();
    condition.release();
  }
  void survivors(const Death& death, Check& check) override {
    if (!death.returned) change(1, check);
    check.that(waiter->ends_well(), "a waiter waits on");
  }
};

// A waiter died, and the only notification is for the other.
struct ConditionWait : ConditionScenario {
  void before() override { condition.acquire(); }
  void operation() override {
    condition.wait(2ms);
    condition.release();
  }
  void survivors(const Death& /*death*/, Check& check) override {
    Helper waiter([this] { wait_for_state(1); });
    yield_until([this] { return *waiting == 1; });
    if (!condition.acquire(ages)) return check.that(false, "the condition's lock is wedged");
    *state = 1;
    condition.notify();
    condition.release();
    check.that(waiter.ends_well(), "a notification went to a dead one");
  }
};

struct BarrierWait : Scenario {
  Barrier barrier{2};
  testing::Shared<std::atomic<int>> passed;
  std::optional<Helper> other{[this] { pass(); }};
  void pass() {
    try {
      barrier.wait();
      ++*passed;
    } catch (const BrokenBarrier&) {
    }
  }
  void operation() override { barrier.wait(); }
  void survivors(const Death& death, Check& check) override {
    if (!death.returned) barrier.abort();
    check.that(other->ends_well(), "a party waits on");
    check.that(*passed == 1 || !death.returned, "one has passed, and the other has not");
    barrier.reset();
    Helper next([this] { pass(); });
    try {
      barrier.wait(ages);
    } catch (const BrokenBarrier&) {
      check.that(false, "a barrier that was reset is broken");
    }
    check.that(next.ends_well(), "a later party waits on");
  }
};

// A queue that delivers at least once: what a dead one took comes back, unless it had called task_done().
struct LeaseScenario : Scenario {
  Queue<std::string> queue{0, Delivery::at_least_once};
  Strings inside = items(1, 3);
  LeaseScenario() {
    for (const std::string& item : inside) queue.put(item);
  }
  Strings take_all(std::size_t expected) {
    Strings got;
    try {
      while (got.size() < expected) {
        got.push_back(queue.get(ages));
        queue.task_done();
      }
    } catch (const Empty&) {
    }
    while (auto more = queue.try_get()) {
      got.push_back(*more);
      queue.task_done();
    }
    std::ranges::sort(got, {}, &std::string::size);
    return got;
  }
};

struct LeaseGet : LeaseScenario {
  void operation() override { std::ignore = queue.get(); }
  void survivors(const Death& /*death*/, Check& check) override {
    check.that(take_all(inside.size()) == inside, "an item that a dead one had taken is lost, doubled or damaged");
  }
};

struct LeaseDone : LeaseScenario {
  void before() override { std::ignore = queue.get(); }
  void operation() override { queue.task_done(); }
  void survivors(const Death& death, Check& check) override {
    const Strings rest(inside.begin() + 1, inside.end());
    const Strings got = take_all(rest.size());
    check.that(got == rest || (got == inside && !death.returned), "lost, doubled or damaged");
  }
};

constexpr std::array operations{
    Operation::of<LockAcquire>("lock.acquire"),
    Operation::of<LockRelease>("lock.release"),
    Operation::of<SemaphoreAcquire>("semaphore.acquire"),
    Operation::of<SemaphoreRelease>("semaphore.release"),
    Operation::of<EventSet>("event.set"),
    Operation::of<ConditionNotify>("condition.notify"),
    Operation::of<ConditionWait>("condition.wait"),
    Operation::of<BarrierWait>("barrier.wait"),
    Operation::of<LeaseGet>("lease.get"),
    Operation::of<LeaseDone>("lease.task_done"),
};

}  // namespace

std::span<const Operation> synchronize_operations() { return operations; }

}  // namespace multiprocessing::sweep
