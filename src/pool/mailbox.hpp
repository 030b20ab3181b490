// Mailbox: all that a worker shares with the pool's process (the host), a mapping of its own, unmapped from the
// other workers: one that scribbles spoils only its own.
//
//   tasks    ring, host → worker      a record is there for the worker once `ticket` counts it
//   results  ring, worker → host      a record is there for the host once `result_tail` has passed it
//   ticket   taken : 32 | halted : 1 | given : 31   tasks the worker has begun, tasks it may begin, unless it is halted;
//            changed by compare-and-swap only
//
//   host                                              worker
//     write records;  given += n        (commit)        taken += 1, if taken < given      (commit: task k has begun)
//     revoke: given = taken             (commit)        run; write result;  result_tail   (commit: task k is done)
//     halt: halted, if taken == k + 1   (commit)
//
// Who means to end task k by force (its time is over, it was cancelled …) halts the worker first: that fails once the
// worker has begun another task, and afterwards it can begin none.  So nobody but the guilty is killed.
//
//  the worker dies …            what the host finds             the host's verdict on task k
//  before taken += 1             taken == k                      never begun: goes to another worker
//  after it                      taken == k + 1, no result       may have run: WorkerDied
//  after result_tail             the result                      done
//
// Only the ring's own side writes a position, and a cursor counts bytes since the worker's start (64 bits, no
// wrap-around).  A record lies in one piece; where the end of the ring is too near it starts again at 0, after a
// record of size `skip` if there is room for one.  Payloads of more than a quarter of a ring travel as a block in
// the family's memory (flag `by_handle`: the payload is a BlockName).  In a pool that is traced each result has
// the times of its task in front of the payload (flag `timed`).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "crash/report.hpp"
#include "os/os.hpp"
#include "sync/event_count.hpp"

namespace multiprocessing::pool {

using Word = std::atomic<std::uint64_t>;

inline constexpr std::size_t ring_bytes = std::size_t{128} << 10;
inline constexpr std::size_t largest_in_ring = ring_bytes / 4;

struct Record {
  std::uint32_t size;  // of the payload; `skip`: the next record is at the ring's start
  std::uint32_t flags;
};
inline constexpr std::uint32_t skip = 0xffffffffU;
enum Flags : std::uint32_t {
  by_handle = 1,  // payload: BlockName
  failed = 2,     // result: an exception instead of a result
  not_ready = 4,  // result: the initializer's exception; the worker ends
  limited = 8,    // task: the supervisor wants to know when it began
  threw = 16,     // result: an item of the task ended with an exception
  timed = 32,     // result: a Span is in front of the payload
};
// The clock of all times in here.
inline std::uint64_t steady_ns() noexcept {
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}
// When a task ran, in ns of the steady clock; for the trace.
struct Span {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
};
struct BlockName {
  std::uint64_t id;
  std::uint64_t size;
  std::uint64_t carried;  // ids behind the payload, of what it names: a result may be received when its worker is gone
};

struct alignas(os::page_bytes) Mailbox {
  // Lines are kept apart by who writes them.
  alignas(64) Word ticket;
  alignas(64) sync::EventCount task_events;  // for a worker that sleeps
  std::atomic<std::uint32_t> finish;         // no more tasks: end
  std::atomic<std::uint32_t> time_tasks;     // the pool is traced: results are `timed`; set before the worker is forked
  std::atomic<std::uint32_t> low_water;      // unstarted tasks at which a sleeping host wants to be woken
  std::atomic<std::uint32_t> stop_requested;  // by the supervisor: 1 + the task whose soft timeout has passed
  alignas(64) Word result_tail;
  Word began;                        // a Began, while a task runs that is `limited` or timed; else 0
  Word leaving_ns;                   // when it had done its last task; 0: it works
  std::atomic<std::uint32_t> ready;  // the initializer has run
  alignas(64) Word result_head;
  sync::EventCount result_space;  // for a worker whose results found no room
  crash::Report crash;            // by the worker's crash handler; read when it is dead
  alignas(64) std::byte tasks[ring_bytes];
  std::byte results[ring_bytes];
};

// Tasks are numbered as they are given to a worker, from 0; numbers wrap.
inline constexpr std::uint32_t number_mask = 0x7fffffffU;
inline constexpr std::uint64_t halted_bit = std::uint64_t{1} << 31;
inline constexpr std::size_t most_ahead = 512;  // tasks a worker has been given and not finished

struct Ticket {
  std::uint32_t taken;
  std::uint32_t given;
  bool halted;
  static Ticket of(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word >> 32) & number_mask, static_cast<std::uint32_t>(word) & number_mask,
            (word & halted_bit) != 0};
  }
  [[nodiscard]] std::uint64_t word() const noexcept {
    return std::uint64_t{taken & number_mask} << 32 | (halted ? halted_bit : 0) | (given & number_mask);
  }
  [[nodiscard]] std::uint32_t unstarted() const noexcept { return (given - taken) & number_mask; }
  [[nodiscard]] std::uint32_t running() const noexcept { return (taken - 1) & number_mask; }
};

// Which task (the low bits of its number) began when (µs of the steady clock): in one word, so that they belong together.
struct Began {
  static constexpr int time_bits = 48;  // 8 years
  std::uint16_t task;
  std::uint64_t us;
  static Began of(std::uint64_t word) noexcept {
    return {static_cast<std::uint16_t>(word >> time_bits), word & ((std::uint64_t{1} << time_bits) - 1)};
  }
  [[nodiscard]] std::uint64_t word() const noexcept {
    return std::uint64_t{task} << time_bits | (us & ((std::uint64_t{1} << time_bits) - 1));
  }
};

// From now on the worker begins nothing.  False: `task` is not the last that it has begun.
inline bool halt(Mailbox& mailbox, std::uint32_t task) noexcept {
  std::uint64_t word = mailbox.ticket.load(std::memory_order_acquire);
  for (;;) {
    Ticket ticket = Ticket::of(word);
    if (ticket.running() != task) return false;
    ticket.halted = true;
    if (mailbox.ticket.compare_exchange_weak(word, ticket.word(), std::memory_order_acq_rel)) return true;
  }
}

inline constexpr std::uint64_t record_bytes(std::size_t payload) { return sizeof(Record) + (payload + 7) / 8 * 8; }

// Where a record that takes `bytes` starts when the cursor is at `position`.
inline std::uint64_t place(std::uint64_t position, std::uint64_t bytes) {
  const std::uint64_t to_end = ring_bytes - position % ring_bytes;
  return bytes <= to_end ? position : position + to_end;
}

inline Record& record_at(std::byte* ring, std::uint64_t position) {
  return *reinterpret_cast<Record*>(ring + position % ring_bytes);
}

// Writes a record at or after `position`; returns the position behind it.  REQUIRES: room.
inline std::uint64_t write_record(std::byte* ring, std::uint64_t position, std::uint32_t flags,
                                  std::span<const std::byte> payload) {
  const std::uint64_t at = place(position, record_bytes(payload.size()));
  if (at != position) record_at(ring, position).size = skip;  // positions are multiples of sizeof(Record)
  record_at(ring, at) = {static_cast<std::uint32_t>(payload.size()), flags};
  if (!payload.empty()) std::memcpy(ring + at % ring_bytes + sizeof(Record), payload.data(), payload.size());
  return at + record_bytes(payload.size());
}
static_assert(sizeof(Record) == 8 && ring_bytes % sizeof(Record) == 0);

struct Received {
  std::uint32_t flags = 0;
  std::span<const std::byte> payload;
  std::uint64_t next = 0;
  Span span;  // if `timed`
};
// The record at `position`; false: what is there is no record (the other side has scribbled).
inline bool read_record(std::byte* ring, std::uint64_t position, Received& received) {
  if (record_at(ring, position).size == skip) position += ring_bytes - position % ring_bytes;
  const Record record = record_at(ring, position);  // copied out before it is checked
  if (record.size > largest_in_ring || record_bytes(record.size) > ring_bytes - position % ring_bytes) return false;
  received = {record.flags,
              {ring + position % ring_bytes + sizeof(Record), record.size},
              position + record_bytes(record.size),
              {}};
  if ((record.flags & timed) != 0) {
    if (record.size < sizeof(Span)) return false;
    std::memcpy(&received.span, received.payload.data(), sizeof(Span));
    received.payload = received.payload.subspan(sizeof(Span));
  }
  return true;
}

}  // namespace multiprocessing::pool
