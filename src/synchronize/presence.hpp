// Presence: a slot that says whether the thread that took it is still there.
//
// Whoever waits holds the slot's robust lock for as long.  When it dies, by any means, the kernel marks the lock; so
// somebody who wants to know tries to take it: cannot = alive, could = gone.  Exact, at once, and for 20 ns; no pid that
// could be a stranger's by now, no time limit.
//
//  died …                                  what the others see
//  before the note                          a free slot
//  after it, waiting or told                a note whose lock can be taken: cleared by who finds it
//  leaving, note cleared, lock still held   a free slot, whose lock is taken from its dead owner by the next
#pragma once

#include <atomic>
#include <cstdint>
#include <new>

#include "memory/layout.hpp"
#include "sync/event_count.hpp"
#include "sync/robust_lock.hpp"

namespace multiprocessing::synchronize {

struct alignas(64) Presence {
  std::atomic<std::uint32_t> made;  // the lock below is initialised
  sync::EventCount told;            // where its owner sleeps
  memory::Word note;                // 0: free.  What else it says is the object's affair
  alignas(8) std::byte lock_bytes[sizeof(sync::RobustLock)];

  [[nodiscard]] sync::RobustLock& alive() noexcept { return *reinterpret_cast<sync::RobustLock*>(lock_bytes); }
  [[nodiscard]] std::uint64_t read() const noexcept { return note.load(std::memory_order_acquire); }
  void write(std::uint64_t what) noexcept { note.store(what, std::memory_order_release); }

  // With the object's inner lock held.  Takes a free slot; false: it is not free.
  [[nodiscard]] bool take() noexcept {
    if (read() != 0) return false;
    if (made.load(std::memory_order_relaxed) == 0) {
      new (lock_bytes) sync::RobustLock;
      made.store(1, std::memory_order_relaxed);
    }
    return alive().try_acquire() != sync::Acquired::timed_out;  // else its owner is about to leave
  }
  // With the object's inner lock held, of a slot that has a note: frees it when its owner is gone.
  [[nodiscard]] bool clear_if_gone() noexcept {
    if (alive().try_acquire() == sync::Acquired::timed_out) return false;
    write(0);
    alive().release();
    return true;
  }
  // By its owner, with or without the inner lock.
  void leave() noexcept {
    write(0);
    alive().release();
  }
};
static_assert(sizeof(Presence) == 64);

}  // namespace multiprocessing::synchronize
