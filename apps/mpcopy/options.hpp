// What the command line asks for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules.hpp"

namespace mpcopy {

enum class Into : std::uint8_t {
  if_directory,  // into the destination where that is a directory, else to that name
  always,        // -t: it is a directory
  never,         // -T: to that name, also where it is a directory
};

enum class Display : std::uint8_t {
  bar,
  bars,  // and a line for each worker
  json,  // for programs: an object a line, on standard output
  quiet,
};

struct Options {
  std::vector<std::string> sources;
  std::string destination;
  Into into = Into::if_directory;
  Rules rules;
  std::vector<std::string> exclude;
  std::uint64_t bytes_per_second = 0;  // 0: no limit
  int processes = 0;                   // 0: one per available core
  bool dry_run = false;
  Display display = Display::bar;
};

}  // namespace mpcopy
