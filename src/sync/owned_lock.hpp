// OwnedLock: the lock that users see (Lock, RLock), in shared memory.  A RobustLock that knows how often its holder
// holds it, and whether that one took it from a dead holder.
//
//  died …                                     what the next holder sees
//  holder, anywhere                            Acquired::from_dead_owner, from the kernel; depth and the flag are set anew
//  between the lock and its two notes          the same
//  in release(), flag cleared, not unlocked    the same
// Both notes are written by the holder alone.
//
// What an acquire and a release of a free lock run is inline: calls would be a third of their time.
#pragma once

#include <atomic>
#include <cstdint>

#include "sync/robust_lock.hpp"

namespace multiprocessing::sync {

class OwnedLock {
 public:
  // Once more by who holds it already: waits for itself (acquire), or counts (acquire_again).  False: timed out.
  bool acquire(Deadline deadline) noexcept {
    Acquired how = lock_.try_acquire();  // asking for the time would cost more than the lock
    if (how == Acquired::timed_out) how = lock_.acquire(deadline);
    if (how == Acquired::timed_out) return false;
    depth_.store(1, std::memory_order_relaxed);
    tell(how == Acquired::from_dead_owner);
    return true;
  }
  bool acquire_again(Deadline deadline) noexcept;
  // REQUIRES: held by the caller.
  void release() noexcept {
    const std::uint32_t depth = depth_.load(std::memory_order_relaxed);
    if (depth > 1) {
      depth_.store(depth - 1, std::memory_order_relaxed);
      return;
    }
    tell(false);
    lock_.release();
  }
  // Lets go of it however often it is held, and takes it again just so: what Condition::wait does.
  [[nodiscard]] std::uint32_t release_all() noexcept;
  void acquire_all(std::uint32_t depth) noexcept;

  [[nodiscard]] bool is_held_by_caller() const noexcept { return lock_.is_held_by_caller(); }
  [[nodiscard]] bool is_held_in_this_process() const noexcept { return lock_.is_held_in_this_process(); }
  [[nodiscard]] bool owner_died() const noexcept { return from_dead_owner_.load(std::memory_order_relaxed) != 0; }

 private:
  // Written when it changes only, which is hardly ever.
  void tell(bool from_dead_owner) noexcept {
    if (owner_died() != from_dead_owner) from_dead_owner_.store(from_dead_owner ? 1 : 0, std::memory_order_relaxed);
  }

  RobustLock lock_;
  std::atomic<std::uint32_t> depth_{0};
  std::atomic<std::uint32_t> from_dead_owner_{0};
};

}  // namespace multiprocessing::sync
