// Control: the few words that host, supervisor and workers of one pool share.  The state of a worker's place is a
// small machine with one writer for each transition:
//
//   vacant ── supervisor: forked ──► running ── supervisor: reaped it ──► dead ── host: mailbox drained ──► vacant
//      └──── supervisor: fork failed ─► failed ── host: noted ──► vacant
//
// What the host wants of the supervisor is written here too; a byte through a socket only makes it look.  So a full
// socket loses nothing, and neither does a program that closes descriptors that are not its own.
//
// Workers have the doorbell and nothing else of this: the supervisor unmaps the places from them.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/os.hpp"
#include "sync/event_count.hpp"

namespace multiprocessing::pool {

enum class PlaceState : std::uint32_t { vacant, running, dead, failed };

struct Place {
  std::atomic<PlaceState> state;
  std::atomic<std::uint32_t> damaged;  // by the host: the worker has scribbled over its mailbox, kill it
  std::atomic<std::int32_t> pid;
  std::atomic<std::uint32_t> member;
  std::atomic<std::int32_t> status;  // dead: exit code or -signal; failed: errno
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
  std::array<Place, most_workers> places;
  void* host_part() { return &wish; }
};
inline constexpr std::size_t host_part_bytes = sizeof(Control) - os::page_bytes;

}  // namespace multiprocessing::pool
