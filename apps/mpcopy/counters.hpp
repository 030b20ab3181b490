// Numbers that workers raise while they copy, and the parent reads for its progress bar.
//
// One slot per task under way, not one sum: when a worker is killed the parent empties the slot of its task, so
// that nothing is counted twice when the task is done again.
#pragma once

#include <sys/types.h>

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
    // What the worker says: a task begins, an item of it does, the task has ended.
    void begin(pid_t worker) { worker_.store(worker, std::memory_order_relaxed); }
    void begin_item(std::uint32_t item) {
      item_.store(item, std::memory_order_relaxed);
      item_begin_.store(bytes_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    }
    void end() { worker_.store(0, std::memory_order_relaxed); }
    void add(const Amount& more) {
      files_.fetch_add(more.files, std::memory_order_relaxed);
      directories_.fetch_add(more.directories, std::memory_order_relaxed);
      bytes_.fetch_add(more.bytes, std::memory_order_relaxed);
      skipped_.fetch_add(more.skipped, std::memory_order_relaxed);
    }

    void clear() {
      for (auto* number : {&files_, &directories_, &bytes_, &skipped_, &item_begin_}) {
        number->store(0, std::memory_order_relaxed);
      }
      end();
    }
    [[nodiscard]] Amount amount() const {
      return {.files = files_.load(std::memory_order_relaxed),
              .directories = directories_.load(std::memory_order_relaxed),
              .bytes = bytes_.load(std::memory_order_relaxed),
              .skipped = skipped_.load(std::memory_order_relaxed)};
    }
    // The worker that is at it; 0: none.
    [[nodiscard]] pid_t worker() const { return worker_.load(std::memory_order_relaxed); }
    // Which item of the batch it copies, and how much of that is there.
    [[nodiscard]] std::uint32_t item() const { return item_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t item_bytes() const {
      const auto begin = item_begin_.load(std::memory_order_relaxed);
      const auto bytes = bytes_.load(std::memory_order_relaxed);
      return bytes > begin ? bytes - begin : 0;
    }

   private:
    std::atomic<std::uint64_t> files_, directories_, bytes_, skipped_, item_begin_;
    std::atomic<pid_t> worker_;
    std::atomic<std::uint32_t> item_;
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
