// The layout of a queue: one header object and a chain of segments, each a ring of records.
//
//   QueueHeader ─ head_segment ─► Segment ─ next ─► Segment ─ next ─► Segment ◄─ tail_segment
//                                 (consumers)                         (producers)
//
//   Segment   0  capacity      units of 8 bytes in the ring
//            64  tail          number : 32 | position : 32     written by producers      ← a put commits here
//                head_seen     what producers last saw of head
//           128  next          offset of the next segment       written once              ← a link commits here
//           192  head          number : 32 | position : 32     written by consumers      ← a get commits here
//                tail_seen     what consumers last saw of tail
//           256  ring
//   Record    0  length : 40 | handles : 23 | in block : 1      the upper 24 bits all ones: nothing, the ring goes on at 0
//             8  handles × 8 bytes of ids, then length bytes, padded to 8
//                in block: the bytes are the first of the block that the last handle names
//
// A cursor holds the position in the ring and the number of the next message in one word, so that a single store
// commits both.  Positions are in units of 8 bytes; an empty ring has head == tail, a full one keeps a unit free.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "memory/layout.hpp"
#include "sync/event_count.hpp"
#include "sync/robust_lock.hpp"

namespace multiprocessing::channel {

using memory::Word;

struct Cursor {
  std::uint32_t number = 0;
  std::uint32_t position = 0;
  static Cursor of(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word >> 32), static_cast<std::uint32_t>(word)};
  }
  [[nodiscard]] std::uint64_t word() const noexcept { return std::uint64_t{number} << 32 | position; }
};

struct QueueHeader {
  std::uint64_t magic;
  std::uint64_t type;
  std::uint64_t maxsize;  // 0: no bound
  std::uint32_t leasing;  // 1: an item that was taken is kept until it is acknowledged (leases.hpp)
  std::uint32_t most_deliveries;  // of such an item; 0: no bound
  Word closed;            // here, where nothing else is written: both sides read it in each operation
  // Producers' side.
  alignas(64) sync::RobustLock producers;
  Word tail_segment;
  Word spare;       // a segment that is about to be linked
  Word takes_seen;  // what producers last saw of `takes`
  Word puts;        // mirror of tail.number, for size(): may lag behind by what a dead producer did last
  // Consumers' side.
  alignas(64) sync::RobustLock consumers;
  Word head_segment;
  Word leases;  // their first table
  alignas(64) Word takes;    // mirror of head.number, for the bound: may lag behind by what a dead consumer did last
  sync::EventCount emptied;  // for those who watch a queue that has items (queue_watch.hpp)
  alignas(64) sync::EventCount not_empty;
  alignas(64) sync::EventCount not_full;
  sync::EventCount all_done;
};

struct Segment {
  std::uint64_t capacity;
  alignas(64) Word tail;
  Word head_seen;
  alignas(64) Word next;
  alignas(64) Word head;
  Word tail_seen;
};

inline constexpr std::uint64_t queue_magic = 0x317565757170'6d00U;
inline constexpr std::size_t unit = 8;
inline constexpr std::size_t ring_at = 256;
inline constexpr int length_bits = 40;
inline constexpr std::uint64_t longest_message = (std::uint64_t{1} << length_bits) - 1;
inline constexpr std::uint64_t most_handles = std::uint64_t{1} << 20;
inline constexpr std::uint64_t in_block = std::uint64_t{1} << 63;
inline constexpr std::uint64_t wrap_mark = ~std::uint64_t{0} << length_bits;

// Of the first word of a record.
constexpr std::size_t handles_in(std::uint64_t word) noexcept { return (word & ~in_block) >> length_bits; }
constexpr std::size_t bytes_in(std::uint64_t word) noexcept { return word & longest_message; }
constexpr std::size_t bytes_in_ring(std::uint64_t word) noexcept {  // after it
  return handles_in(word) * unit + ((word & in_block) != 0 ? 0 : bytes_in(word));
}

static_assert(sizeof(Segment) == ring_at && offsetof(Segment, tail) == 64 && offsetof(Segment, head) == 192);
static_assert(sizeof(QueueHeader) <= 1024);

}  // namespace multiprocessing::channel
