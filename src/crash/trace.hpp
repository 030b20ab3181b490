// Trace: a stack that can travel.  Every address is told by the module it lies in and the place there, so whoever has
// that module, or its file, at whatever address, can name function, file and line (symbols.hpp).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crash/report.hpp"

namespace multiprocessing::crash {

struct Module {
  std::string path;      // "": the program itself
  std::string build_id;  // raw bytes; "": it has none
  bool operator==(const Module&) const = default;
};

struct Frame {
  std::uint32_t module = no_module;  // index; no_module: `offset` is an address
  std::uint64_t offset = 0;
};

// Plain aggregates: the codec can send them.
struct Trace {
  std::vector<Frame> frames;  // innermost first
  std::vector<Module> modules;
};

// Of addresses in this process.
[[nodiscard]] Trace trace_of(const std::uint64_t* addresses, std::size_t count);

struct Crash {
  int signal = 0;
  int code = 0;
  std::uint64_t address = 0;
  Trace trace;
};

// What the worker `pid`, which died of `signal`, has reported; nothing if it has not, or if what is there cannot be of
// this death.  The worker may have written anything there: nothing of it is used unchecked.
[[nodiscard]] std::optional<Crash> read_report(const Report& report, pid_t pid, int signal);

}  // namespace multiprocessing::crash
