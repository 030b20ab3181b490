// Control: the few words that host and supervisor of one pool share.  The state of a worker's place is a small machine
// with one writer for each transition:
//
//   vacant ── supervisor: forked ──► running ── supervisor: reaped it ──► dead ── host: mailbox drained ──► vacant
//      └──── supervisor: fork failed ─► failed ── host: noted ──► vacant
//
// What the host wants of the supervisor is written here too; a byte through a socket only makes it look.  So a full
// socket loses nothing, and neither does a program that closes descriptors that are not its own.
//
// A worker that has to be killed gets a `doom`: why, and for which task.  Host and supervisor both may write it, the
// first wins; for a task's sake only after the worker was halted at that task (mailbox.hpp).  Died between the two: the
// supervisor is gone, and with it the pool; or the host, and with it everything.
//
// Limits: the host writes those of task n before it gives it, and then counts it in `watched`; a supervisor that is not
// `watching` is rung.  It watches while anything is watched: it looks at each deadline, and as often as the shortest
// limit is long, so that no task can begin and end its time between two looks.
//
// Workers have the doorbell and nothing else of this: the supervisor unmaps the rest from them.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/os.hpp"
#include "pool/mailbox.hpp"
#include "sync/event_count.hpp"

namespace multiprocessing::pool {

enum class PlaceState : std::uint32_t { vacant, running, dead, failed };

enum class Cause : std::uint32_t { none, damaged, cancelled, timed_out, out_of_memory };

struct Doom {
  Cause cause = Cause::none;
  std::uint32_t task = 0;
  static Doom of(std::uint64_t word) noexcept {
    return {static_cast<Cause>(word >> 32), static_cast<std::uint32_t>(word)};
  }
  [[nodiscard]] std::uint64_t word() const noexcept {
    return std::uint64_t{static_cast<std::uint32_t>(cause)} << 32 | task;
  }
};

struct Place {
  std::atomic<PlaceState> state;
  std::atomic<std::int32_t> pid;
  std::atomic<std::uint32_t> member;
  std::atomic<std::int32_t> status;    // dead: exit code or -signal; failed: errno
  Word doom;                           // a Doom; cleared by the host when it has buried the worker
  Word not_before_ns;                  // steady clock: the supervisor refills the place then
  std::atomic<std::uint32_t> watched;  // tasks with limits that its worker has

  void condemn(Cause cause, std::uint32_t task) noexcept {
    std::uint64_t nothing = 0;
    doom.compare_exchange_strong(nothing, Doom{cause, task}.word(), std::memory_order_acq_rel);
  }
};

// Of one task, in ns from its start; 0: none.
struct Limits {
  std::uint64_t hard_ns;
  std::uint64_t soft_ns;
};

inline constexpr std::size_t most_workers = 1024;

// What the host wants; it never goes back.
enum class Wish : std::uint32_t {
  run,        // a worker in each vacant place
  finish,     // workers were told to end: no more refills; end when the last has
  terminate,  // kill all and end
};

struct Control {
  alignas(os::page_bytes) sync::EventCount doorbell;  // the host sleeps here: results, deaths
  alignas(os::page_bytes) std::atomic<Wish> wish;
  std::atomic<std::uint32_t> wanted;    // places in use: those beyond are not refilled
  std::atomic<std::uint32_t> watching;  // by the supervisor
  Word shortest_ns;                     // no limit under way is shorter
  std::array<Place, most_workers> places;
  // Plain words: constructing them must not touch (and so make real) their pages.  Guarded by the ticket's commit.
  std::array<std::array<Limits, most_ahead>, most_workers> limits;
  void* host_part() { return &wish; }
};
inline constexpr std::size_t host_part_bytes = sizeof(Control) - os::page_bytes;

}  // namespace multiprocessing::pool
