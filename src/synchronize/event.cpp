// The event: one word, and an event count beside it.
//
//   word   times it was set : 31 | set : 1         one store each for set() and clear(): nothing to recover
//
// A waiter remembers the count, so a set() that is followed by clear() at once is not missed.
#include <new>

#include "multiprocessing/synchronize.hpp"
#include "os/faults.hpp"
#include "sync/event_count.hpp"

namespace multiprocessing {
namespace {

constexpr std::uint32_t is_set_bit = 1;

struct EventState {
  std::atomic<std::uint32_t> word{0};
  sync::EventCount changed;
};

EventState& state_of(const memory::Ref& ref) { return *static_cast<EventState*>(ref.address()); }

}  // namespace

Event::Event() : Handle(memory::Ref::create(memory::Kind::event, sizeof(EventState))) {
  new (ref_.address()) EventState;
}
Event::Event(codec::Undecoded) noexcept : Handle(memory::Ref()) {}

void Event::set() const {
  EventState& event = state_of(ref_);
  std::uint32_t word = event.word.load(std::memory_order_relaxed);
  do {
    if ((word & is_set_bit) != 0) return;
  } while (!event.word.compare_exchange_weak(word, (word + 2) | is_set_bit, std::memory_order_acq_rel));
  MULTIPROCESSING_STEP("event.set");
  event.changed.notify();
}

void Event::clear() const { state_of(ref_).word.fetch_and(~is_set_bit, std::memory_order_acq_rel); }

bool Event::is_set() const noexcept { return (state_of(ref_).word.load(std::memory_order_acquire) & is_set_bit) != 0; }

bool Event::wait_until(detail::Deadline deadline) const {
  EventState& event = state_of(ref_);
  const std::uint32_t before = event.word.load(std::memory_order_acquire);
  const auto set_since = [&] {
    const std::uint32_t word = event.word.load(std::memory_order_acquire);
    return (word & is_set_bit) != 0 || word >> 1 != before >> 1;
  };
  return event.changed.wait_until(set_since, deadline);
}

}  // namespace multiprocessing
