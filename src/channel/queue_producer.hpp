// What a producer does while it holds the producers' lock: writes records, commits, links segments.  Layer: channel.
//
// The protocol and its table of deaths are in byte_queue.cpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/error.hpp"
#include "channel/queue_side.hpp"
#include "multiprocessing/detail/byte_queue.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "sync/spin.hpp"

namespace multiprocessing::channel {

inline constexpr std::size_t first_segment = std::size_t{64} << 10;
inline constexpr std::size_t largest_ring = std::size_t{64} << 20;
inline constexpr std::size_t largest_record = largest_ring / 4 - 4096;  // the bytes of a larger one lie in a block
inline constexpr std::size_t populate_from = std::size_t{1} << 20;  // messages whose memory is secured before the copy

inline bool fits_in_a_ring(const Message& message) {
  return message.block != nullptr || (1 + message.handles.size()) * unit + message.bytes.size() <= largest_record;
}

inline std::size_t record_units(const Message& message) {
  if (message.block != nullptr) return 2 + message.handles.size();
  return 1 + message.handles.size() + (message.bytes.size() + unit - 1) / unit;
}

// Makes `segment` an empty ring whose next message has this number.
inline void format(Segment& segment, std::size_t run_bytes, std::uint32_t number) {
  segment.capacity = (run_bytes - ring_at) / unit;
  const std::uint64_t start = Cursor{number, 0}.word();
  segment.tail.store(start, std::memory_order_relaxed);
  segment.head_seen.store(start, std::memory_order_relaxed);
  segment.head.store(start, std::memory_order_relaxed);
  segment.tail_seen.store(start, std::memory_order_relaxed);
  segment.next.store(0, std::memory_order_relaxed);
}

class Producer {  // lives while the producers' lock is held
 public:
  explicit Producer(const Ref& ref) : ref_(ref), header_(header_of(ref)), segment_(&catch_up()) {
    tail_ = Cursor::of(value(segment_->tail));
    // What a dead one may have left behind: put() must not take a full queue for one with room.
    if (static_cast<std::uint32_t>(value(header_.puts)) != tail_.number) {
      header_.puts.store(tail_.number, std::memory_order_relaxed);
    }
  }

  [[nodiscard]] bool closed() const noexcept { return value(header_.closed) != 0; }

  // How many more messages the bound allows.
  [[nodiscard]] std::size_t allowance() noexcept {
    if (header_.maxsize == 0) return ~std::size_t{0};
    const auto used = [this] { return tail_.number - static_cast<std::uint32_t>(value(header_.takes_seen)); };
    if (used() >= header_.maxsize) {
      header_.takes_seen.store(header_.takes.load(std::memory_order_acquire), std::memory_order_relaxed);
    }
    return used() >= header_.maxsize ? 0 : header_.maxsize - used();
  }

  // Copies the message behind those written before; not visible until commit().
  void write(const Message& message) {
    const std::size_t units = record_units(message);
    if (!fits(units)) {
      commit();
      if (!room_comes(units)) link(units);
    }
    // fits() has decided whether the record starts here or at the beginning.
    if (segment_->capacity - tail_.position < units) {
      if (tail_.position != segment_->capacity) word_at(*segment_, tail_.position) = wrap_mark;
      tail_.position = 0;
    }
    const bool by_block = message.block != nullptr;
    word_at(*segment_, tail_.position) = (by_block ? in_block : 0) |
                                         std::uint64_t{message.handles.size() + (by_block ? 1 : 0)} << length_bits |
                                         std::uint64_t{message.bytes.size()};
    std::uint64_t* to = &word_at(*segment_, tail_.position) + 1;
    for (const Ref& handle : message.handles) *to++ = handle.id();
    if (by_block) {
      *to = message.block->id();
      memory::load_cargo(ref_, {message.block, 1}, tail_.number);
    } else if (!message.bytes.empty()) {
      std::memcpy(to, message.bytes.data(), message.bytes.size());
    }
    if (!message.handles.empty()) memory::load_cargo(ref_, message.handles, tail_.number);
    tail_.position += static_cast<std::uint32_t>(units);
    tail_.number += 1;
    sync::prefetch_to_write(ring_of(*segment_) + tail_.position * unit + 4 * cache_line);
    MULTIPROCESSING_STEP("queue.put.copied");
  }

  void commit() noexcept {
    segment_->tail.store(tail_.word(), std::memory_order_release);  // sync(record): pairs with Consumer::look()
    MULTIPROCESSING_STEP("queue.put.committed");
    header_.puts.store(tail_.number, std::memory_order_relaxed);
    MULTIPROCESSING_STEP("queue.put.mirrored");
  }

 private:
  // Where producers are; finishes the link that a dead one has begun.  The race with a consumer that does the same:
  //   1. A producer reads tail_segment = A.  (The dead one had stored A.next = B.)
  //   2. A consumer has read all of A, moves tail_segment on to B, leaves A and frees it.
  //   3. The producer reads A.next: no longer a part of the queue, whatever it says.
  // So what was read counts only while tail_segment still names where it was read.
  Segment& catch_up() {
    std::uint64_t at = header_.tail_segment.load(std::memory_order_acquire);
    for (;;) {
      MULTIPROCESSING_STEP("queue.put.tail_read");
      const std::uint64_t next = segment_at(at).next.load(std::memory_order_acquire);
      const std::uint64_t now = header_.tail_segment.load(std::memory_order_acquire);
      if (now == at && next == 0) break;
      if (now == at) header_.tail_segment.store(next, std::memory_order_release);
      at = now == at ? next : now;
    }
    if (value(header_.spare) == at) header_.spare.store(0, std::memory_order_relaxed);
    return segment_at(at);
  }

  [[nodiscard]] bool fits(std::size_t units) {
    if (fits_before(Cursor::of(value(segment_->head_seen)), units)) return true;
    const std::uint64_t head = segment_->head.load(std::memory_order_acquire);  // sync(space): pairs with Consumer
    if (head == value(segment_->head_seen)) return false;
    segment_->head_seen.store(head, std::memory_order_relaxed);
    return fits_before(Cursor::of(head), units);
  }

  // A consumer at work frees room in the time that it takes to copy an item.  Giving it that time, once per link, keeps
  // the ring small enough for the caches: 1 MiB items go 3 × as fast through 8 MiB as through 64.
  [[nodiscard]] bool room_comes(std::size_t units) {
    if (!sync::is_spinning_useful() || 2 * units > segment_->capacity) return false;
    for (std::size_t look = 2048 + units; look > 0; --look) {
      sync::pause_cpu();
      if (fits(units)) return true;
    }
    return false;
  }

  [[nodiscard]] bool fits_before(Cursor head, std::size_t units) const {
    if (head.position > segment_->capacity) throw_damaged("head");
    if (head.position > tail_.position) return head.position - tail_.position > units;
    const std::size_t to_end = segment_->capacity - tail_.position;
    // A record that reaches the very end is followed by one at 0, so head must not be there.
    if (to_end >= units && (to_end > units || head.position > 0)) return true;
    return head.position > units;
  }

  void link(std::size_t units) {
    const std::size_t wanted = segment_bytes(units);
    if (value(header_.spare) != 0 && memory::run_bytes(value(header_.spare)) < wanted) memory::free_run(header_.spare);
    if (value(header_.spare) == 0) memory::allocate_run(ref_, header_.spare, wanted);
    MULTIPROCESSING_STEP("queue.link.allocated");
    const std::uint64_t offset = value(header_.spare);
    Segment& fresh = segment_at(offset);
    if (units * unit >= populate_from) {
      if (const int error = os::populate(&fresh, ring_at + units * unit); error < 0) {
        memory::free_run(header_.spare);
        base::throw_os_error("secure " + std::to_string(units * unit) + " bytes for", "a queue item", -error);
      }
    }
    format(fresh, memory::run_bytes(offset), tail_.number);
    MULTIPROCESSING_STEP("queue.link.formatted");
    segment_->next.store(offset, std::memory_order_release);  // sync(link): pairs with Consumer::leave_if_done()
    MULTIPROCESSING_STEP("queue.link.committed");
    header_.tail_segment.store(offset, std::memory_order_release);
    MULTIPROCESSING_STEP("queue.link.tail_moved");
    header_.spare.store(0, std::memory_order_relaxed);
    segment_ = &fresh;
    tail_.position = 0;
  }

  // Twice the ring so far, room for several such messages, but no more than largest_ring.
  [[nodiscard]] std::size_t segment_bytes(std::size_t units) const {
    const std::size_t record = ring_at + (units + 1) * unit;
    const std::size_t before = ring_at + segment_->capacity * unit;
    const std::size_t several = std::bit_ceil(4 * record);
    return std::min(largest_ring, std::max(several, 2 * std::min(before, largest_ring / 2)));
  }

  const Ref& ref_;
  QueueHeader& header_;
  Segment* segment_;
  Cursor tail_;
};

}  // namespace multiprocessing::channel
