// What a consumer does while it holds the consumers' lock: looks at records, passes them, commits, leaves segments.
// Layer: channel.
//
// The protocol and its table of deaths are in byte_queue.cpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "channel/leases.hpp"
#include "channel/queue_side.hpp"
#include "os/faults.hpp"
#include "sync/spin.hpp"

namespace multiprocessing::channel {

class Consumer {  // lives while the consumers' lock is held
 public:
  explicit Consumer(const Ref& ref) : header_(header_of(ref)), segment_(&segment_at(value(header_.head_segment))) {
    head_ = Cursor::of(value(segment_->head));
    header_.takes.store(head_.number, std::memory_order_release);  // what a dead one may have left behind
  }

  struct Record {
    std::uint64_t word = 0;
    const std::byte* content = nullptr;  // handles' ids, then the bytes that are not in a block
    std::uint32_t next_position = 0;

    [[nodiscard]] std::size_t handles() const noexcept { return handles_in(word); }
    [[nodiscard]] bool is_in_block() const noexcept { return (word & in_block) != 0; }
    [[nodiscard]] std::span<const std::byte> all() const noexcept { return {content, bytes_in_ring(word)}; }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return all().subspan(handles() * unit); }
  };

  // The next record; false when there is none.
  [[nodiscard]] bool look(Record& record) {
    while (head_.word() == value(segment_->tail_seen)) {
      const std::uint64_t tail = segment_->tail.load(std::memory_order_acquire);  // sync(record): pairs with commit()
      segment_->tail_seen.store(tail, std::memory_order_relaxed);
      if (tail != head_.word()) break;
      if (!leave_if_done()) return false;
    }
    if (head_.position >= segment_->capacity || word_at(*segment_, head_.position) >= wrap_mark) head_.position = 0;
    record.word = word_at(*segment_, head_.position);
    const std::uint64_t units = 1 + (bytes_in_ring(record.word) + unit - 1) / unit;
    if (units > segment_->capacity - head_.position) throw_damaged("record");
    record.content = ring_of(*segment_) + (head_.position + 1) * unit;
    record.next_position = head_.position + static_cast<std::uint32_t>(units);
    sync::prefetch(ring_of(*segment_) + record.next_position * unit + 2 * cache_line);
    return true;
  }

  // The record that look() gave is taken; not so for the others until commit().
  void pass(const Record& record) noexcept {
    head_.position = record.next_position;
    head_.number += 1;
    MULTIPROCESSING_STEP("queue.get.copied");
  }

  void commit() noexcept {
    segment_->head.store(head_.word(), std::memory_order_release);  // sync(space): pairs with Producer::fits()
    MULTIPROCESSING_STEP("queue.get.committed");
    header_.takes.store(head_.number, std::memory_order_release);
    MULTIPROCESSING_STEP("queue.get.mirrored");
  }

  [[nodiscard]] std::uint32_t number() const noexcept { return head_.number; }
  // Messages that are known to be there, in this segment.
  [[nodiscard]] std::uint32_t available() const noexcept {
    return Cursor::of(value(segment_->tail_seen)).number - head_.number;
  }
  [[nodiscard]] bool left_a_segment() const noexcept { return left_; }

  // A word that changes when something may have come, for spinning without the lock, and what it was when nothing
  // was there.  It may be freed meanwhile: then it reads as something else, which is a change.
  [[nodiscard]] const Word& tail_word() const noexcept { return segment_->tail; }
  [[nodiscard]] std::uint64_t tail_seen() const noexcept { return value(segment_->tail_seen); }

 private:
  // Goes on to the next segment once this one is used up for good.
  bool leave_if_done() {
    MULTIPROCESSING_STEP("queue.get.tail_read");
    const std::uint64_t next = segment_->next.load(std::memory_order_acquire);  // sync(link): pairs with link()
    if (next == 0) return false;
    // Nothing is written here after the link; what was written before it is visible now.
    const std::uint64_t tail = segment_->tail.load(std::memory_order_acquire);
    segment_->tail_seen.store(tail, std::memory_order_relaxed);
    if (tail != head_.word()) return true;
    std::uint64_t old = value(header_.head_segment);
    header_.tail_segment.compare_exchange_strong(old, next, std::memory_order_acq_rel);  // for a producer that died
    memory::replace_run(header_.head_segment, next);
    MULTIPROCESSING_STEP("queue.get.left_segment");
    left_ = true;
    segment_ = &segment_at(next);
    head_ = Cursor::of(value(segment_->head));
    return true;
  }

  QueueHeader& header_;
  Segment* segment_;
  Cursor head_;
  bool left_ = false;
};

// The consumers' side.  What a dead owner had leased and not committed is cleared at once: as soon as the head passes its
// number it would count.
class ConsumersSide {
 public:
  explicit ConsumersSide(const Ref& ref) : side_(header_of(ref).consumers) { repair(ref); }  // without waiting
  ConsumersSide(const Ref& ref, Deadline deadline) : side_(header_of(ref).consumers, deadline) { repair(ref); }
  [[nodiscard]] bool held() const noexcept { return side_.held(); }

 private:
  void repair(const Ref& ref) {
    if (side_.from_dead_owner()) Leases(ref, header_of(ref)).clear_uncommitted(Consumer(ref).number());
  }
  Side side_;
};

}  // namespace multiprocessing::channel
