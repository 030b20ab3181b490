// RobustLock: whoever comes next gets it, and is told of a death if, and only if, the dead one held it.
#include <array>
#include <atomic>
#include <chrono>
#include <optional>

#include "support/shared.hpp"
#include "sweep/helper.hpp"
#include "sweep/sweep.hpp"
#include "sync/robust_lock.hpp"

namespace multiprocessing::sweep {
namespace {

using namespace std::chrono_literals;
using sync::Acquired;
using sync::Deadline;
using sync::RobustLock;

constexpr auto ages = 5s;  // nobody waits that long for a lock that can be taken

struct Board {
  RobustLock lock;
  std::atomic<bool> go_on{false};
  std::atomic<Acquired> got{Acquired::timed_out};
};

// Somebody waits for the lock in the kernel (the bit is FUTEX_WAITERS in glibc's lock word, which comes first).
bool is_waited_for(const RobustLock& lock) {
  return (reinterpret_cast<const std::atomic<std::uint32_t>&>(lock).load() & 0x8000'0000U) != 0;
}

struct LockScenario : Scenario {
  testing::Shared<Board> board;

  Acquired take_and_release(Check& check) {
    const Acquired how = board->lock.acquire(Deadline::after(ages));
    check.that(how != Acquired::timed_out, "the lock is wedged");
    if (how != Acquired::timed_out) board->lock.release();
    return how;
  }
  void expect_usable(Check& check) {
    check.that(take_and_release(check) == Acquired::normally, "a lock that was mended is not as good as before");
  }
};

struct AcquireFree : LockScenario {
  void operation() override { board->lock.acquire(); }
  void survivors(const Death& death, Check& check) override {
    const bool held = take_and_release(check) == Acquired::from_dead_owner;
    check.effect(held);
    check.that(held || !death.returned, "the death of an owner was not told");
    expect_usable(check);
  }
};

struct AcquireFromDead : LockScenario {
  std::optional<Dead> owner{[this] { board->lock.acquire(); }};
  void operation() override { board->got = board->lock.acquire(); }
  void survivors(const Death& death, Check& check) override {
    check.that(take_and_release(check) == Acquired::from_dead_owner, "the death of an owner was not told");
    check.that(!death.returned || board->got == Acquired::from_dead_owner, "the child was not told of the first death");
    expect_usable(check);
  }
};

// The child waits in the kernel until its own deadline.
struct AcquireHeld : LockScenario {
  AcquireHeld() { board->lock.acquire(); }
  void operation() override { board->got = board->lock.acquire(Deadline::after(1ms)); }
  void survivors(const Death& /*death*/, Check& check) override {
    check.that(board->got == Acquired::timed_out, "two have the lock");
    board->lock.release();
    expect_usable(check);
  }
};

// The child waits in the kernel, and then gets it.
struct AcquireHandedOver : LockScenario {
  std::optional<Helper> owner{[this] {
    board->lock.acquire();
    board->got = Acquired::normally;
    yield_until([this] { return board->go_on || is_waited_for(board->lock); });
    board->lock.release();
  }};
  AcquireHandedOver() {
    yield_until([this] { return board->got == Acquired::normally; });
  }
  void operation() override { board->lock.acquire(); }
  void survivors(const Death& death, Check& check) override {
    board->go_on = true;
    check.that(owner->ends_well(), "the one who releases hangs");
    const bool held = take_and_release(check) == Acquired::from_dead_owner;
    check.that(held || !death.returned, "the death of an owner was not told");
    expect_usable(check);
  }
};

struct ReleaseFree : LockScenario {
  void before() override { board->lock.acquire(); }
  void operation() override { board->lock.release(); }
  void survivors(const Death& /*death*/, Check& check) override {
    check.effect(take_and_release(check) == Acquired::normally);
    expect_usable(check);
  }
};

// Others wait in the kernel, and the wake-up may die with the one that owes it.
struct ReleaseAwaited : LockScenario {
  std::array<std::optional<Helper>, 2> waiters;
  void before() override { board->lock.acquire(); }
  void together() override {
    for (auto& waiter : waiters) {
      waiter.emplace([this] {
        board->lock.acquire();
        board->lock.release();
      });
    }
    yield_until([this] { return is_waited_for(board->lock); });
  }
  void operation() override { board->lock.release(); }
  void survivors(const Death& /*death*/, Check& check) override {
    for (auto& waiter : waiters) check.that(waiter->ends_well(), "a waiter waits on");
    expect_usable(check);
  }
};

struct ReleaseFromDead : LockScenario {
  std::optional<Dead> owner{[this] { board->lock.acquire(); }};
  void before() override { board->lock.acquire(); }
  void operation() override { board->lock.release(); }
  void survivors(const Death& /*death*/, Check& check) override {
    check.effect(take_and_release(check) == Acquired::normally);
    expect_usable(check);
  }
};

constexpr std::array operations{
    Operation::of<AcquireFree>("acquire.free"),
    Operation::of<AcquireFromDead>("acquire.dead_owner"),
    Operation::of<AcquireHeld>("acquire.held"),
    Operation::of<AcquireHandedOver>("acquire.handed_over"),
    Operation::of<ReleaseFree>("release.free"),
    Operation::of<ReleaseAwaited>("release.awaited"),
    Operation::of<ReleaseFromDead>("release.dead_owner"),
};

}  // namespace

std::span<const Operation> lock_operations() { return operations; }

}  // namespace multiprocessing::sweep
