// The barrier: rounds.
//
//   round   number : 32 | how the last 31 rounds ended, the latest in bit 0: 31, 1 = broken | broken now : 1
//   place   0: free   round's number << 1 | 1: has arrived      a Presence, so that a dead party is known at once
//
// Invariants
//   1. A round ends by one store of `round`: everybody who has arrived in it goes on, or throws.
//   2. Places are taken, and rounds ended, under the inner lock.  No user code under it: while the action runs all places
//      of the round are taken, and who comes meanwhile waits for the next.
//   3. Who waits looks at least every 100 ms whether all who have arrived are alive.
//
//  died …                              what the others see
//  before its place's note              it has not arrived
//  having arrived                       a place whose owner is gone: the round is broken by who looks next
//  in the action                        the same
//  after the round's store, not awake   the round is over; sleepers look again within 100 ms
//  leaving                              a place to be cleared
#include <limits>
#include <new>
#include <stdexcept>

#include "multiprocessing/synchronize.hpp"
#include "os/faults.hpp"
#include "synchronize/exclusive.hpp"
#include "synchronize/presence.hpp"
#include "synchronize/slots.hpp"

namespace multiprocessing {
namespace {

using memory::Word;
using synchronize::Exclusive;
using synchronize::Presence;

struct BarrierState {
  sync::RobustLock lock;
  std::int32_t parties = 0;
  sync::EventCount changed;
  Word round{0};
  Word places{0};
};

BarrierState& state_of(const memory::Ref& ref) { return *static_cast<BarrierState*>(ref.address()); }

struct Round {
  std::uint32_t number;
  std::uint32_t history;  // bit 0: broken now; bit 1 + i: the round i + 1 before this one was broken

  static Round of(const Word& word) noexcept {
    const std::uint64_t value = word.load(std::memory_order_acquire);
    return {static_cast<std::uint32_t>(value >> 32), static_cast<std::uint32_t>(value)};
  }
  [[nodiscard]] bool broken() const noexcept { return (history & 1) != 0; }
  // How the round of that number ended.  More than 31 rounds ago: well, else its party would not sleep still.
  [[nodiscard]] bool has_broken(std::uint32_t earlier) const noexcept {
    const std::uint32_t ago = number - earlier;
    return ago <= 31 && (history >> ago & 1) != 0;
  }
  [[nodiscard]] std::uint64_t next(bool this_one_broke, bool stays_broken) const noexcept {
    const std::uint32_t past = (history >> 1 << 1 | static_cast<std::uint32_t>(this_one_broke)) << 1;
    return std::uint64_t{number + 1} << 32 | past | static_cast<std::uint32_t>(stays_broken);
  }
};

constexpr std::uint64_t arrived_in(const Round& round) { return std::uint64_t{round.number} << 1 | 1; }

[[noreturn]] void throw_broken(const char* why) { throw BrokenBarrier(std::string("Barrier::wait: ") + why); }

// The barrier, while the inner lock is held.
class Locked {
 public:
  explicit Locked(const memory::Ref& ref)
      : state_(state_of(ref)), exclusive_(state_.lock), places_(ref, state_.places) {}

  [[nodiscard]] Round round() const { return Round::of(state_.round); }

  // Who has arrived in this round.  One of them is gone: breaks it.
  int arrived() {
    const std::uint64_t here = arrived_in(round());
    int count = 0;
    bool gone = false;
    places_.for_each([&](Presence& place) {
      if (place.read() != here) return;
      ++count;
      gone = gone || place.clear_if_gone();
    });
    if (gone) end_round(true, true);
    return gone ? 0 : count;
  }

  Presence& arrive() {
    Presence& place = places_.find_or_grow([](Presence& candidate) {
      const std::uint64_t note = candidate.read();
      return candidate.take() || (note != 0 && candidate.clear_if_gone() && candidate.take());
    });
    place.write(arrived_in(round()));
    MULTIPROCESSING_STEP("barrier.arrived");
    return place;
  }

  void end_round(bool broke, bool stays_broken) {
    state_.round.store(round().next(broke, stays_broken), std::memory_order_release);
    MULTIPROCESSING_STEP("barrier.round_ended");
    state_.changed.notify();
  }

 private:
  BarrierState& state_;
  Exclusive exclusive_;
  synchronize::Slots<Presence> places_;
};

// A party in its place, for the length of its wait().
class Party {
 public:
  explicit Party(Presence& place) noexcept : place_(place) {}
  ~Party() { place_.leave(); }
  Party(const Party&) = delete;
  Party& operator=(const Party&) = delete;

 private:
  Presence& place_;
};

bool is_over(const BarrierState& state, std::uint32_t number) { return Round::of(state.round).number != number; }

// Until this round is over, by whatever end; or not within the time.
void wait_for_the_end(const memory::Ref& ref, std::uint32_t number, detail::Deadline deadline) {
  BarrierState& state = state_of(ref);
  while (!is_over(state, number) && !deadline.is_over()) {
    state.changed.wait_until([&] { return is_over(state, number); }, deadline.at_most(sync::EventCount::look_again));
    Locked locked(ref);
    if (locked.round().number == number) locked.arrived();
  }
}

// By the last to arrive.  What the action throws breaks the barrier and goes on to the caller.
void run_action(const memory::Ref& ref, const std::function<void()>& action, std::uint32_t number) {
  try {
    action();
  } catch (...) {
    Locked locked(ref);
    if (locked.round().number == number) locked.end_round(true, true);
    throw;
  }
  Locked locked(ref);
  if (locked.round().number == number) locked.end_round(false, false);
}

}  // namespace

Barrier::Barrier(int parties, std::function<void()> action)
    : Handle(memory::Ref::create(memory::Kind::barrier, sizeof(BarrierState))), action_(std::move(action)) {
  if (parties < 1) throw std::invalid_argument("Barrier: at least one party");
  auto& state = *new (ref_.address()) BarrierState;
  state.parties = parties;
}
Barrier::Barrier(codec::Undecoded) noexcept : Handle(memory::Ref()) {}

int Barrier::wait_until(detail::Deadline deadline) const {
  BarrierState& state = state_of(ref_);
  for (;;) {
    std::optional<Party> party;
    Round round{};
    int before = 0;
    bool acts = false;
    {
      Locked locked(ref_);
      before = locked.arrived();
      round = locked.round();
      if (round.broken()) throw_broken("the barrier is broken");
      if (before < state.parties) {
        party.emplace(locked.arrive());
        acts = before + 1 == state.parties;
        if (acts && !action_) locked.end_round(false, false);
      }
    }
    if (acts && action_) run_action(ref_, action_, round.number);
    if (!acts) wait_for_the_end(ref_, round.number, deadline);
    if (!party && is_over(state, round.number)) continue;  // it was full: the next round is ours
    if (!is_over(state, round.number)) {
      Locked locked(ref_);
      if (locked.round().number == round.number) {
        if (!party) throw_broken("not within the time given: the others have not gone on");
        locked.end_round(true, true);
        throw_broken("not all parties came within the time given");
      }
    }
    if (Round::of(state.round).has_broken(round.number)) throw_broken("a party died or gave up, or it was reset");
    return before;
  }
}

void Barrier::reset() const {
  Locked locked(ref_);
  const bool somebody_waits = locked.arrived() != 0;
  locked.end_round(somebody_waits, false);
}

void Barrier::abort() const {
  Locked locked(ref_);
  locked.end_round(true, true);
}

int Barrier::parties() const noexcept { return state_of(ref_).parties; }

int Barrier::n_waiting() const {
  Locked locked(ref_);
  const int here = locked.arrived();
  return here < parties() ? here : 0;  // all have come: nobody waits, they go on
}

bool Barrier::broken() const noexcept { return Round::of(state_of(ref_).round).broken(); }

void Barrier::require_sendable() const {
  if (action_) throw NotSendable("a barrier with an action belongs to the processes that were forked with it");
}

}  // namespace multiprocessing
