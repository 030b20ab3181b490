// Which module an address lies in.  Safe in a signal handler: no locks, no memory, only reads.
#pragma once

#include <cstdint>

#include "crash/report.hpp"

namespace multiprocessing::crash {

// False: in none.  What it reads of the loader's may be damaged in a process that crashes, and fault.
bool find_module(std::uint64_t address, LoadedModule& module) noexcept;

// The index of the module of `address` in `module[0 .. count)`, where it is added if need be; no_module.
template <class Count>
std::uint32_t module_index(std::uint64_t address, LoadedModule* module, Count& count) noexcept {
  const std::uint32_t known = count;
  for (std::uint32_t i = 0; i < known; ++i) {
    if (module[i].begin <= address && address < module[i].end) return i;
  }
  if (known == most_modules || !find_module(address, module[known])) return no_module;
  count = known + 1;
  return known;
}

}  // namespace multiprocessing::crash
