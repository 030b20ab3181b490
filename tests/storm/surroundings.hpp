// What must be the same after a storm as before it.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "memory/family.hpp"
#include "storm/storm.hpp"

namespace multiprocessing::storm {

struct Surroundings {
  memory::Stats stats;
  std::uint64_t owned_bytes = 0;  // of the heap
  std::set<std::string> descriptors;
  std::set<std::string> shm;

  explicit Surroundings(Report& report);  // reports damage of the arena
};

// Against those of now.
void compare(const Surroundings& before, Report& report);

}  // namespace multiprocessing::storm
