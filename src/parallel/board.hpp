// The memory that the caller and the children of one call have in common.
//
//   board    next          the first item that nobody has taken; only grows
//            first_failed  the lowest item that threw; none: the number of items
//            written       bytes of the file that somebody has taken to write in
//            places[n]     of child n: its chunk, the item it is at, how it ended
//   file     record*       Record | payload, one for each chunk and each exception, in no order
//
// A chunk is taken by one compare-and-swap of `next`.  Nothing is ever given back: when a child dies the call has
// failed, and what the others do no longer matters.  The file is read when all children are done, and only then.
//
//  died …                         what the caller sees
//  child, before it is in its     pidfd readable, not done: WorkerDied without an item
//    first chunk
//  child, in a chunk, or while    the same, with the item it was at
//    it writes
//  child, after done              a child that is done
//  caller                         children have SIGKILL as their parent-death signal, and look for their parent once
//                                 they have set it
//
// Steps: parallel.child.forked, .entered, .taken, .ran, .written, .done; parallel.forked, .all_forked, .all_done,
// .collected.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "multiprocessing/detail/parallel_core.hpp"

namespace multiprocessing::parallel {

inline constexpr std::size_t most_processes = 1024;
inline constexpr std::size_t cache_line = 64;

struct alignas(cache_line) Place {
  std::atomic<Index> first;  // its chunk
  std::atomic<Index> end;
  std::atomic<Index> at;             // in it
  std::atomic<std::int32_t> error;   // errno: what it had to say could not be written
  std::atomic<std::uint32_t> bound;  // it ends with the caller, whatever happens to it
  std::atomic<std::uint32_t> began;  // it has taken a chunk
  std::atomic<std::uint32_t> done;   // and written all it had to
};

struct Board {
  alignas(cache_line) std::atomic<Index> next;
  alignas(cache_line) std::atomic<Index> first_failed;
  std::atomic<std::uint64_t> written;
  std::array<Place, most_processes> places;  // pages that nobody touches cost nothing
};

// An exception: end == first, the item that threw.
struct Record {
  Index first;
  Index end;
  std::uint64_t bytes;  // of the payload behind it
};

}  // namespace multiprocessing::parallel
