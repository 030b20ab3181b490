// Lock, RLock, Semaphore, Condition, Event, Barrier and Value, all at once.
//
// Invariants: one holder of a lock at a time; no unit of the semaphore is lost or doubled in the end; a value is whole;
// whoever waits goes on, or is told that the barrier broke (else: no progress); all of it works when the storm is over.
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/sharedctypes.hpp"
#include "multiprocessing/synchronize.hpp"
#include "storm/part.hpp"

namespace multiprocessing::storm {
namespace {

using namespace std::chrono_literals;

constexpr int units = 3;
constexpr int parties = 3;

struct Whole {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};

struct Objects {
  Lock lock;
  RLock rlock;
  Semaphore semaphore{units};
  Condition condition;
  Event event;
  Barrier barrier{parties};
  Value<Whole> value;
  testing::Shared<std::array<std::atomic<int>, 2>> inside;
};

template <class AnyLock>
void hold(const AnyLock& lock, std::atomic<int>& inside, Worker& me) {
  if (!lock.acquire(std::chrono::microseconds(me.random.below(5'000)))) return;
  if (inside.exchange(1) != 0 && !lock.owner_died()) me.violation("two holders at once");
  inside.store(0);
  lock.release();
}

void use_units(const Objects& o, Worker& me) {
  if (!o.semaphore.acquire(std::chrono::microseconds(me.random.below(20'000)))) return;
  if (me.random.one_in(4)) std::this_thread::yield();
  o.semaphore.release();
}

void tell_or_wait(const Objects& o, Worker& me) {
  const std::scoped_lock held(o.condition);
  if (me.random.one_in(2)) {
    o.condition.notify(1 + static_cast<int>(me.random.below(3)));
  } else {
    o.condition.wait(std::chrono::microseconds(me.random.below(3'000)));
  }
}

void change_value(const Objects& o, Worker& me) {
  o.value.update([&](Whole& whole) {
    if (whole.first != whole.second) me.violation("half a value");
    ++whole.first;
    ++whole.second;
  });
}

void mix(const Objects& o, Worker& me) {
  while (!me.over()) {
    switch (me.random.below(6)) {
      case 0: hold(o.lock, (*o.inside)[0], me); break;
      case 1: hold(o.rlock, (*o.inside)[1], me); break;
      case 2: use_units(o, me); break;
      case 3: tell_or_wait(o, me); break;
      case 4: change_value(o, me); break;
      default:
        if (me.random.one_in(2)) {
          o.event.set();
        } else {
          o.event.wait(std::chrono::microseconds(me.random.below(2'000)));
          o.event.clear();
        }
    }
    me.count();
  }
}

void meet(const Objects& o, Worker& me) {
  while (!me.over()) {
    try {
      o.barrier.wait();
    } catch (const BrokenBarrier&) {
      o.barrier.reset();
    }
    me.count();
  }
  o.barrier.abort();
}

class SynchronizePart final : public Part {
 public:
  explicit SynchronizePart(int hands) : hands_(hands) {}

  void hire(Crew& crew) override {
    for (int i = 0; i < hands_; ++i) crew.hire([this](Worker& me) { mix(objects_, me); });
    for (int i = 0; i < parties; ++i) crew.hire([this](Worker& me) { meet(objects_, me); });
  }

  void settle(Report& report) override {
    const Objects& o = objects_;
    if (!o.lock.acquire(10s)) report.violation("the lock is wedged");
    if (!o.rlock.acquire(10s)) report.violation("the rlock is wedged");
    if (!o.condition.acquire(10s)) report.violation("the condition's lock is wedged");
    if (o.semaphore.get_value() != units) {
      report.violation("the semaphore has " + std::to_string(o.semaphore.get_value()) + " units");
    }
    const Whole whole = o.value.get();
    if (whole.first != whole.second) report.violation("half a value in the end");
    report.tallies["updates"] += whole.first;
    o.barrier.reset();
    std::vector<std::thread> others;
    for (int i = 1; i < parties; ++i)
      others.emplace_back([&] {
        try {
          o.barrier.wait(10s);
        } catch (const BrokenBarrier&) {  // said below
        }
      });
    try {
      o.barrier.wait(10s);
    } catch (const BrokenBarrier&) {
      report.violation("the barrier does not come together");
    }
    for (std::thread& other : others) other.join();
  }

 private:
  const int hands_;
  const Objects objects_;
};

}  // namespace

std::unique_ptr<Part> synchronize_part(int hands) { return std::make_unique<SynchronizePart>(hands); }

}  // namespace multiprocessing::storm
