#include "sync/owned_lock.hpp"

namespace multiprocessing::sync {

bool OwnedLock::acquire_again(Deadline deadline) noexcept {
  if (!is_held_by_caller()) return acquire(deadline);
  depth_.fetch_add(1, std::memory_order_relaxed);
  return true;
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
