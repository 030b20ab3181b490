// Numbers that workers raise while they copy, and the parent reads for its progress bar.
//
// One slot per task under way, not one sum: when a worker is killed the parent empties the slot of its task, so
// that nothing is counted twice when the task is done again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "job.hpp"

namespace mpcopy {

class SharedCounters {
 public:
  // Relaxed throughout: the numbers stand for nothing but themselves.
  class alignas(64) Slot {
   public:
    void add(const Amount& more) {
      files_.fetch_add(more.files, std::memory_order_relaxed);
      directories_.fetch_add(more.directories, std::memory_order_relaxed);
      bytes_.fetch_add(more.bytes, std::memory_order_relaxed);
    }
    void clear() {
      files_.store(0, std::memory_order_relaxed);
      directories_.store(0, std::memory_order_relaxed);
      bytes_.store(0, std::memory_order_relaxed);
    }
    [[nodiscard]] Amount amount() const {
      return {.files = files_.load(std::memory_order_relaxed),
              .directories = directories_.load(std::memory_order_relaxed),
              .bytes = bytes_.load(std::memory_order_relaxed)};
    }

   private:
    std::atomic<std::uint64_t> files_, directories_, bytes_;
  };

  // Memory shared with the processes forked from now on, which find it by inherited().  One at a time.
  explicit SharedCounters(std::size_t slots);
  ~SharedCounters();
  SharedCounters(const SharedCounters&) = delete;
  SharedCounters& operator=(const SharedCounters&) = delete;

  [[nodiscard]] std::span<Slot> slots() const { return slots_; }
  // In a worker: the slot of that number.  Null where there are no counters.
  static Slot* inherited(std::size_t slot);

 private:
  std::span<Slot> slots_;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "a lock inside libatomic is private to one process");

}  // namespace mpcopy
