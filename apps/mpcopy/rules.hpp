// How files are copied.  Travels with every task.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace mpcopy {

enum class Reflink : std::uint8_t {
  automatic,  // share blocks where the file system can, else copy
  always,     // share blocks, or fail
  never,      // the copy has blocks of its own
};

struct Rules {
  Reflink reflink = Reflink::automatic;
  bool verify = false;                     // read the copy again and compare checksums
  bool resume = false;                     // leave what is complete, continue what is partly there
  bool update = false;                     // leave what is not older than its source
  std::uint64_t piece_bytes = 64U << 20U;  // a larger file is copied in such pieces, by several workers
  // Of one call: small enough that the bar moves during a large file, large enough that the calls cost nothing.
  std::uint64_t step_bytes = 8U << 20U;
};

// Hears how a copy gets on.
struct Observer {
  std::function<void(std::uint64_t)> on_moved = [](std::uint64_t) {};   // bytes that were read and written, or compared
  std::function<void(std::uint64_t)> on_passed = [](std::uint64_t) {};  // holes, shared blocks, what is left as it is
  std::vector<std::string> complaints{};  // the copy is there, but in this it is not as the source is
};

}  // namespace mpcopy
