// The condition: a place (presence.hpp) for each waiter, in the order of their coming.
//
//   note of a place   0: free   order << 1: waits   order << 1 | 1: notified
//
// Invariants
//   1. A waiter's place is taken under the inner lock and the user's lock, before it lets go of the user's lock; so a
//      notify() that follows sees it.
//   2. notify() gives to the living who wait longest; a note is changed by one store.
//   3. Whether it was notified a waiter reads after it has the user's lock again: time-out and notification do not cross.
//
//  died …                                      what the others see
//  waiter, before its note                      a free place
//  waiter, waiting                              passed over by notify(), its place cleared
//  waiter, notified and not yet back            the next notify() finds it and gives its notification to another too
//  notifier, between two notes                  the first so many are notified
//  notifier, between note and wake-up           the sleeper looks again within 100 ms
#include <limits>
#include <new>
#include <stdexcept>
#include <string>

#include "multiprocessing/synchronize.hpp"
#include "os/faults.hpp"
#include "synchronize/exclusive.hpp"
#include "synchronize/owned.hpp"
#include "synchronize/presence.hpp"
#include "synchronize/slots.hpp"

namespace multiprocessing {
namespace {

using memory::Word;
using synchronize::Exclusive;
using synchronize::owned;
using synchronize::Presence;

constexpr std::uint64_t notified = 1;

struct ConditionState {
  sync::RobustLock lock;
  Word places{0};
  Word last_order{0};
};

ConditionState& state_of(const memory::Ref& ref) { return *static_cast<ConditionState*>(ref.address()); }

Presence& take_place(const memory::Ref& ref) {
  ConditionState& state = state_of(ref);
  const Exclusive exclusive(state.lock);
  Presence& place = synchronize::Slots<Presence>(ref, state.places).find_or_grow([](Presence& candidate) {
    return candidate.take();
  });
  const std::uint64_t order = state.last_order.load(std::memory_order_relaxed) + 1;
  state.last_order.store(order, std::memory_order_relaxed);
  place.write(order << 1);
  MULTIPROCESSING_STEP("condition.place_taken");
  return place;
}

bool is_notified(const Presence& place) { return (place.read() & notified) != 0; }

// The living one that waits longest.  Counts those that died with a notification, and clears their places.
Presence* longest_waiting(const synchronize::Slots<Presence>& places, int& inherited) {
  Presence* first = nullptr;
  places.for_each([&](Presence& place) {
    const std::uint64_t note = place.read();
    if (note == 0 || ((note & notified) == 0 && first != nullptr && first->read() < note)) return;
    if (place.clear_if_gone()) {
      inherited += (note & notified) != 0 ? 1 : 0;
    } else if ((note & notified) == 0) {
      first = &place;
    }
  });
  return first;
}

}  // namespace

Condition::Condition() : Condition(synchronize::make_lock(memory::Kind::rlock)) {}
Condition::Condition(const Lock& lock) : Condition(lock.ref_) {}
Condition::Condition(const RLock& lock) : Condition(lock.ref_) {}
Condition::Condition(memory::Ref lock)
    : Handle(memory::Ref::create(memory::Kind::condition, sizeof(ConditionState))), lock_(std::move(lock)) {
  new (ref_.address()) ConditionState;
}
Condition::Condition(codec::Undecoded) noexcept : Handle(memory::Ref()) {}

void Condition::require_lock() const {
  if (lock_.kind() != memory::Kind::lock && lock_.kind() != memory::Kind::rlock) {
    throw TypeMismatch("the received condition comes without a lock");
  }
}

bool Condition::acquire_until(detail::Deadline deadline) const {
  return lock_.kind() == memory::Kind::rlock ? owned(lock_).acquire_again(deadline) : owned(lock_).acquire(deadline);
}

void Condition::release() const { synchronize::release_held(lock_, "Condition::release"); }

bool Condition::owner_died() const noexcept { return owned(lock_).owner_died(); }

void Condition::require_held(const char* what) const {
  if (!owned(lock_).is_held_by_caller()) {
    throw std::logic_error(std::string(what) + ": acquire the condition's lock first");
  }
}

bool Condition::wait_until(detail::Deadline deadline) const {
  require_held("Condition::wait");
  Presence& place = take_place(ref_);
  const std::uint32_t depth = owned(lock_).release_all();
  MULTIPROCESSING_STEP("condition.waiting");
  place.told.wait_until([&] { return is_notified(place); }, deadline);
  MULTIPROCESSING_STEP("condition.awake");
  owned(lock_).acquire_all(depth);
  const bool told = is_notified(place);
  place.leave();
  return told;
}

void Condition::notify(int waiters) const {
  require_held("Condition::notify");
  ConditionState& state = state_of(ref_);
  const Exclusive exclusive(state.lock);
  const synchronize::Slots<Presence> places(ref_, state.places);
  while (waiters > 0) {
    Presence* const place = longest_waiting(places, waiters);
    if (place == nullptr) return;
    place->write(place->read() | notified);
    MULTIPROCESSING_STEP("condition.notified");
    place->told.notify();
    --waiters;
  }
}

void Condition::notify_all() const { notify(std::numeric_limits<int>::max() / 2); }

}  // namespace multiprocessing
