#include "sync/owned_lock.hpp"

namespace multiprocessing::sync {

bool OwnedLock::acquire(Deadline deadline) noexcept {
  Acquired how = lock_.try_acquire();  // asking for the time would cost more than the lock
  if (how == Acquired::timed_out) how = lock_.acquire(deadline);
  if (how == Acquired::timed_out) return false;
  depth_.store(1, std::memory_order_relaxed);
  const std::uint32_t told = how == Acquired::from_dead_owner ? 1 : 0;
  if (from_dead_owner_.load(std::memory_order_relaxed) != told) {
    from_dead_owner_.store(told, std::memory_order_relaxed);
  }
  return true;
}

bool OwnedLock::acquire_again(Deadline deadline) noexcept {
  if (!is_held_by_caller()) return acquire(deadline);
  depth_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void OwnedLock::release() noexcept {
  const std::uint32_t depth = depth_.load(std::memory_order_relaxed);
  if (depth > 1) {
    depth_.store(depth - 1, std::memory_order_relaxed);
    return;
  }
  if (owner_died()) from_dead_owner_.store(0, std::memory_order_relaxed);
  lock_.release();
}

std::uint32_t OwnedLock::release_all() noexcept {
  const std::uint32_t depth = depth_.load(std::memory_order_relaxed);
  depth_.store(1, std::memory_order_relaxed);
  release();
  return depth;
}

void OwnedLock::acquire_all(std::uint32_t depth) noexcept {
  static_cast<void>(acquire(Deadline::never()));
  depth_.store(depth, std::memory_order_relaxed);
}

}  // namespace multiprocessing::sync
