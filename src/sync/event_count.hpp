// EventCount: "something has changed, look again", in one 32-bit word of shared memory.
//
//   waiter                                      notifier
//     ticket = events.prepare();                  change the state (its own commit store);
//     if (state is right) proceed;                events.notify();
//     events.wait(ticket, deadline);
//     look again
//
//   word:  | change number : 31 | somebody sleeps : 1 |
//
//  died at …                         what the others see
//  waiter, before prepare's store     nothing
//  waiter, after it                   the bit set: one needless wake-up, which clears it
//  notifier, before notify            sleepers look again by themselves (Naps) and find the state changed
//  notifier, between word and wake    the same
//
// A wake-up is never what makes the protocol right: it only makes it fast.  Everybody is woken, for a single
// wake-up could go to a process that is dying.  There is no count of waiters, which a death would leave wrong.
// Threads and processes alike; no signals' safety problem: notify() may run in a signal handler.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "multiprocessing/detail/deadline.hpp"

namespace multiprocessing::sync {

using detail::Deadline;

// How long a sleeper sleeps before it looks by itself: 100 ms at a time for a second, then half a second, so that a hundred
// idle processes take less than a hundredth of a core.
class Naps {
 public:
  [[nodiscard]] std::chrono::milliseconds next() noexcept { return ++taken_ > 10 ? idle : first; }
  [[nodiscard]] bool none_yet() const noexcept { return taken_ == 0; }
  static constexpr std::chrono::milliseconds first{100};
  static constexpr std::chrono::milliseconds idle{500};

 private:
  int taken_ = 0;
};

class EventCount {
 public:
  using Ticket = std::uint32_t;
  static constexpr std::chrono::milliseconds look_again = Naps::first;

  // Announces a sleeper.  The caller must look at the state after this and before wait().
  [[nodiscard]] Ticket prepare() noexcept;
  // Returns after a notify() that followed prepare(), at the deadline, after `nap`, or for no reason.
  void wait(Ticket ticket, Deadline deadline, std::chrono::milliseconds nap = look_again) noexcept;
  // Call after the change was stored, outside of locks.  Costs a fence and a load when nobody sleeps.
  void notify() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // sync(event-count): pairs with prepare()
    wake_if_announced();
  }
  // The same for a caller whose last step was a read-modify-write, or the release of a RobustLock (which is one): on x86
  // a locked instruction is the fence already.
  void notify_after_release() noexcept {
#if defined(__x86_64__)
    std::atomic_signal_fence(std::memory_order_seq_cst);
    wake_if_announced();
#else
    notify();
#endif
  }

  // For a wait on several at once: as wait(), sleep while this is the ticket.
  [[nodiscard]] std::atomic<std::uint32_t>& word() noexcept { return word_; }

  // Waits until `ready()` holds or the deadline passes; spins first.  Returns the last ready().
  template <class Ready>
  bool wait_until(Ready ready, Deadline deadline);

 private:
  static constexpr std::uint32_t sleeping = 1;
  void wake_if_announced() noexcept {
    if (word_.load(std::memory_order_relaxed) & sleeping) wake();
  }
  void wake() noexcept;
  std::atomic<std::uint32_t> word_{0};
};

static_assert(sizeof(EventCount) == 4 && std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace multiprocessing::sync

#include "sync/spin.hpp"

namespace multiprocessing::sync {

template <class Ready>
bool EventCount::wait_until(Ready ready, Deadline deadline) {
  if (ready()) return true;
  if (deadline.is_over()) return false;
  for (Spin spin; spin.again();) {
    if (ready()) {
      spin.paid_off();
      return true;
    }
  }
  for (Naps naps;;) {
    const Ticket ticket = prepare();
    if (ready()) return true;
    if (deadline.is_over()) return false;
    wait(ticket, deadline, naps.next());
  }
}

}  // namespace multiprocessing::sync
