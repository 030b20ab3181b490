// Exclusive: an object's inner lock, for a scope.
//
// Words of the object may have been stored by a transaction of the arena that a death left unfinished; whoever takes the
// lock from a dead owner has it undone before it looks at any of them.
#pragma once

#include "memory/arena.hpp"
#include "sync/robust_lock.hpp"

namespace multiprocessing::synchronize {

class Exclusive {
 public:
  explicit Exclusive(sync::RobustLock& lock) noexcept : held_(lock) {
    if (held_.from_dead_owner()) const memory::Arena::Locked undone(memory::Arena::get());
  }
  [[nodiscard]] bool from_dead_owner() const noexcept { return held_.from_dead_owner(); }

 private:
  sync::Holding held_;
};

}  // namespace multiprocessing::synchronize
