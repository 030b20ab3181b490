// Control: the few words that host, supervisor and workers of one pool share.  The state of a worker's place is a
// small machine with one writer for each transition:
//
//   vacant ── supervisor: forked ──► running ── supervisor: reaped it ──► dead ── host: mailbox drained ──► vacant
//      └──── supervisor: fork failed ─► failed ── host: noted ──► vacant
//
// A place of which the host takes note (dead, failed → vacant) is announced to the supervisor by a command.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "sync/event_count.hpp"

namespace multiprocessing::pool {

enum class PlaceState : std::uint32_t { vacant, running, dead, failed };

struct Place {
  std::atomic<PlaceState> state;
  std::atomic<std::int32_t> pid;
  std::atomic<std::uint32_t> member;
  std::atomic<std::int32_t> status;  // dead: exit code or -signal; failed: errno
};

inline constexpr std::size_t most_workers = 1024;

struct Control {
  alignas(64) sync::EventCount doorbell;  // the host sleeps here: results, deaths
  alignas(64) std::array<Place, most_workers> places;
};

// What the host tells the supervisor, one byte a message and the place's number behind it.
enum class Command : std::uint32_t {
  refill,     // the place is vacant: start a worker there
  kill,       // the worker of that place has damaged its mailbox
  finish,     // workers were told to end: no more refills; end when the last has
  terminate,  // kill all and end
};
struct Order {
  Command command;
  std::uint32_t place;
};

}  // namespace multiprocessing::pool
