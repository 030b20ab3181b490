// EventCount: whoever sleeps sees the change in the end, and whoever comes later can sleep and be woken.
#include <array>
#include <atomic>
#include <chrono>
#include <optional>

#include "support/shared.hpp"
#include "sweep/helper.hpp"
#include "sweep/sweep.hpp"
#include "sync/event_count.hpp"

namespace multiprocessing::sweep {
namespace {

using namespace std::chrono_literals;
using sync::Deadline;
using sync::EventCount;

struct Board {
  EventCount events;
  std::atomic<int> state{0};
  std::atomic<bool> go_on{false};
};

bool has_a_sleeper(const EventCount& events) {
  return (reinterpret_cast<const std::atomic<std::uint32_t>&>(events).load() & 1U) != 0;
}

struct EventScenario : Scenario {
  testing::Shared<Board> board;

  void change_to(int state) {
    board->state = state;
    board->events.notify();
  }
  void sleep_until(int state) {
    board->events.wait_until([&] { return board->state >= state; }, Deadline::never());
  }
  void expect_usable(Check& check) {
    const int next = board->state + 1;
    Helper sleeper([this, next] { sleep_until(next); });
    yield_until([this] { return has_a_sleeper(board->events); });
    change_to(next);
    check.that(sleeper.ends_well(), "a later sleeper sleeps on");
  }
};

struct NotifyNobody : EventScenario {
  void operation() override { change_to(1); }
  void survivors(const Death& /*death*/, Check& check) override {
    check.effect(board->state == 1);
    expect_usable(check);
  }
};

struct NotifySleepers : EventScenario {
  std::array<std::optional<Helper>, 2> sleepers;
  NotifySleepers() {
    for (auto& sleeper : sleepers) sleeper.emplace([this] { sleep_until(1); });
    yield_until([this] { return has_a_sleeper(board->events); });
  }
  void operation() override { change_to(1); }
  void survivors(const Death& /*death*/, Check& check) override {
    check.effect(board->state == 1);
    if (board->state == 0) change_to(1);
    for (auto& sleeper : sleepers) check.that(sleeper->ends_well(), "a sleeper sleeps on");
    expect_usable(check);
  }
};

// Until its deadline.
struct WaitInVain : EventScenario {
  void operation() override {
    board->events.wait_until([] { return false; }, Deadline::after(1ms));
  }
  void survivors(const Death& /*death*/, Check& check) override { expect_usable(check); }
};

// Until it is notified.
struct WaitNotified : EventScenario {
  std::optional<Helper> notifier;
  void together() override {
    notifier.emplace([this] {
      yield_until([this] { return board->go_on || has_a_sleeper(board->events); });
      change_to(1);
    });
  }
  void operation() override { sleep_until(1); }
  void survivors(const Death& /*death*/, Check& check) override {
    board->go_on = true;
    check.that(notifier->ends_well(), "the one who notifies hangs");
    expect_usable(check);
  }
};

constexpr std::array operations{
    Operation::of<NotifyNobody>("notify.nobody"),
    Operation::of<NotifySleepers>("notify.sleepers"),
    Operation::of<WaitInVain>("wait.in_vain"),
    Operation::of<WaitNotified>("wait.notified"),
};

}  // namespace

std::span<const Operation> event_operations() { return operations; }

}  // namespace multiprocessing::sweep
