// The event: one word, and an event count beside it.
//
//   word   times it was cleared : 31 | set : 1     one change each for set() and clear(): nothing to recover
//
// A waiter remembers the count, so a set() that is followed by clear() at once is not missed.  set() is one locked
// instruction without a look before it, which would bring the line from the other core twice.
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
  if ((event.word.fetch_or(is_set_bit, std::memory_order_acq_rel) & is_set_bit) != 0) return;
  MULTIPROCESSING_STEP("event.set");
  event.changed.notify_after_release();
}

void Event::clear() const {
  std::atomic<std::uint32_t>& set = state_of(ref_).word;
  std::uint32_t word = set.load(std::memory_order_relaxed);
  while ((word & is_set_bit) != 0 && !set.compare_exchange_weak(word, word + 1, std::memory_order_acq_rel)) {
  }
}

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
