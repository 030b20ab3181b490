// A side of a queue: its lock, and where things are.  Layer: channel.
//
// Only byte_queue.cpp and what it is made of include this: the classes are inline because a queue is as fast as they are.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "channel/queue_layout.hpp"
#include "memory/arena.hpp"
#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/errors.hpp"
#include "sync/robust_lock.hpp"

namespace multiprocessing::channel {

using detail::Deadline;
using memory::Arena;
using memory::Ref;
using sync::Acquired;

// A lock is held for the length of one copy; even an operation that does not wait gives it this long.
inline constexpr std::chrono::milliseconds lock_patience{100};
inline constexpr std::size_t cache_line = 64;

inline std::uint64_t value(const Word& word) { return word.load(std::memory_order_relaxed); }

inline QueueHeader& header_of(const Ref& ref) { return *static_cast<QueueHeader*>(ref.address()); }

inline Segment& segment_at(std::uint64_t offset) { return *static_cast<Segment*>(Arena::get().at(offset, ring_at)); }

inline std::byte* ring_of(Segment& segment) { return reinterpret_cast<std::byte*>(&segment) + ring_at; }

inline std::uint64_t& word_at(Segment& segment, std::uint32_t position) {
  return *reinterpret_cast<std::uint64_t*>(ring_of(segment) + position * unit);
}

[[noreturn]] inline void throw_damaged(const char* what) {
  throw Error(std::string("queue is damaged: ") + what + " (a process of this family has written where it should not)");
}

inline Deadline for_lock(Deadline deadline) {
  const Deadline patience = Deadline::after(lock_patience);
  return deadline.when() < patience.when() ? patience : deadline;
}

// The lock, or nothing when the deadline passed first.
class Side {
 public:
  explicit Side(sync::RobustLock& lock) : Side(lock, lock.try_acquire()) {}
  Side(sync::RobustLock& lock, Deadline deadline) : Side(lock, acquire(lock, deadline)) {}
  ~Side() { release(); }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;
  [[nodiscard]] bool held() const noexcept { return held_; }
  [[nodiscard]] bool from_dead_owner() const noexcept { return from_dead_owner_; }
  void release() noexcept {
    if (std::exchange(held_, false)) lock_.release();
  }

 private:
  Side(sync::RobustLock& lock, Acquired how)
      : lock_(lock), held_(how != Acquired::timed_out), from_dead_owner_(how == Acquired::from_dead_owner) {
    if (from_dead_owner_) const Arena::Locked undone(Arena::get());  // invariant 5
  }
  static Acquired acquire(sync::RobustLock& lock, Deadline deadline) {
    const Acquired at_once = lock.try_acquire();  // asking for the time would cost more than the lock
    return at_once != Acquired::timed_out ? at_once : lock.acquire(for_lock(deadline));
  }

  sync::RobustLock& lock_;
  bool held_;
  bool from_dead_owner_;
};

}  // namespace multiprocessing::channel
