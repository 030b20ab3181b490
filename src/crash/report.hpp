// Report: what a crashing worker tells of itself.  It lies in the mailbox, is written by the signal handler
// (handler.hpp) and read by the pool's process once the worker is dead (trace.hpp).
//
//   signal u32 | code | pid | address | frames u32 | modules u32 | frame[64] | module[16]
//
// Each part is committed by one store: `signal` after the words beside it, `frames` += 1 after each frame and, if it
// is new, the module that the frame lies in.
//
//  the handler dies, or faults …      what the host finds
//  before `signal` is stored          no report: the death has no stack
//  after it                           signal and address; the frames that were complete, innermost first
//
// A frame names its module by path and build-id, for the reader may have it at another address, or not at all.
// The reader believes nothing: the worker may have written anything over this.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace multiprocessing::crash {

inline constexpr std::size_t most_frames = 64;
inline constexpr std::size_t most_modules = 16;
inline constexpr std::size_t most_id_bytes = 20;

// A loaded module, as the code at some address finds it (modules.hpp).
struct LoadedModule {
  std::uint64_t base;  // load address: what symbols count from
  std::uint64_t begin;
  std::uint64_t end;
  std::uint32_t id_bytes;  // of the build-id; 0: it has none
  std::uint8_t id[most_id_bytes];
  char path[256];  // "": the program itself; cut off where it is too long
};

struct RawFrame {
  std::uint64_t address;  // of an instruction that belongs to the call, not of the one after it
  std::uint32_t module;   // index; no_module: outside of all
};
inline constexpr std::uint32_t no_module = 0xffffffffU;

struct Report {
  std::atomic<std::int32_t> signal;  // 0: nothing to report
  std::int32_t code;
  std::int32_t pid;
  std::uint64_t address;
  std::atomic<std::uint32_t> frames;
  std::atomic<std::uint32_t> modules;
  RawFrame frame[most_frames];
  LoadedModule module[most_modules];
};

}  // namespace multiprocessing::crash
