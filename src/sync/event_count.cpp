#include "sync/event_count.hpp"

#include <climits>

#include "os/faults.hpp"
#include "os/os.hpp"

namespace multiprocessing::sync {

EventCount::Ticket EventCount::prepare() noexcept {
  const Ticket ticket = word_.fetch_or(sleeping, std::memory_order_seq_cst) | sleeping;
  MULTIPROCESSING_STEP("event.announced");
  std::atomic_thread_fence(std::memory_order_seq_cst);  // sync(event-count): pairs with notify()
  return ticket;
}

void EventCount::wait(Ticket ticket, Deadline deadline, std::chrono::milliseconds nap) noexcept {
  os::futex_wait(word_, ticket, deadline.at_most(nap));
}

void EventCount::wake() noexcept {
  // Next change number, nobody asleep: a waiter that comes now announces itself anew.
  std::uint32_t seen = word_.load(std::memory_order_relaxed);
  while (!word_.compare_exchange_weak(seen, (seen + 2) & ~sleeping, std::memory_order_seq_cst)) {
  }
  MULTIPROCESSING_STEP("event.changed");
  os::futex_wake(word_, INT_MAX);
}

}  // namespace multiprocessing::sync
