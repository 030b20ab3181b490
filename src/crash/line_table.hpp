// What debug information tells about addresses, by libbacktrace where the compiler has it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "crash/trace.hpp"

namespace multiprocessing::crash {

struct Line {
  std::string function;  // as the linker knows it
  std::string file;
  int line = 0;
};

// Of a place in a module, innermost inlined call first; empty: nothing is known.  Any thread.
[[nodiscard]] std::vector<Line> lines_at(const Module& module, std::uint64_t offset);

}  // namespace multiprocessing::crash
