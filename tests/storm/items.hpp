// What producers put: an Item, with handles of other objects now and then, or a Frame, bytes that can be lent and viewed.
//
// Everything in them follows from the name, so whoever takes one sees whether it is whole.  Most are small; one in 50 is
// larger than a packet of a connection, one in 2,000 larger than a queue's first segments, one in 8,000 so large that it
// travels in a block of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "multiprocessing/queue.hpp"
#include "multiprocessing/sharedctypes.hpp"
#include "storm/ledger.hpp"

namespace multiprocessing::storm {

struct Item {
  Name name;
  std::string payload;
  std::vector<Queue<std::uint64_t>> queues;  // each with the sequence in it
  std::vector<Value<std::uint64_t>> values;
  std::vector<Array<std::uint64_t>> arrays;
};

using Frame = std::string;  // the name, then the payload

[[nodiscard]] Item make_item(const Name& name);
[[nodiscard]] Seen look_at(const Item& item);

[[nodiscard]] std::size_t frame_size(const Name& name);
void write_frame(std::span<char> frame, const Name& name);
[[nodiscard]] Frame make_frame(const Name& name);
[[nodiscard]] Seen look_at(std::span<const char> frame);

}  // namespace multiprocessing::storm
