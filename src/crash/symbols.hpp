// From a Trace to what a reader wants to see: functions, files and lines.
//
// Done by whoever asks, never in a process that crashes.  The first time takes some 100 ms in a program with debug
// information (the symbols of all its modules are read, and kept), later ones some 10 µs a frame.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "crash/trace.hpp"

namespace multiprocessing::crash {

struct Symbol {
  std::string function;  // demangled; "": not known
  std::string file;      // "": not known
  int line = 0;
  std::string module;  // the path, "": of the program itself
  std::uint64_t offset = 0;
};

// Innermost first.  A frame into which others were inlined gives several.
[[nodiscard]] std::vector<Symbol> symbols_of(const Trace& trace);

// The name of a function of this process, demangled; "": not known.  Reads the module's file, some ms at the most.
[[nodiscard]] std::string function_name(const void* function);

[[nodiscard]] std::string demangled(const std::string& name);

}  // namespace multiprocessing::crash
