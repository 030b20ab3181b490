// Invariants
//   1. A constant's block is written before anybody else has a handle of it, and never again.
//   2. What a thread has decoded it keeps together with a hold on the block: so no other constant can have its name.
#include "multiprocessing/detail/constant.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::codec {
namespace {

constexpr std::size_t most_kept = 8;

struct Decoded {
  memory::Ref block;
  const std::type_info* type;
  std::shared_ptr<const void> value;
};

// The last used comes last.
thread_local std::vector<Decoded> kept;

}  // namespace

Constant make_constant(const Encoder& encoded) {
  if (!encoded.carried().empty() || !encoded.descriptors().empty()) {
    throw NotSendable(
        "mp::shared: the value holds handles of this library (queues, locks, connections …), which would not be kept "
        "alive: give them to the task as arguments of their own");
  }
  memory::Block block = memory::take_block(std::max<std::size_t>(encoded.size(), 1));
  if (encoded.size() != 0) std::memcpy(block.ref.address(), encoded.bytes().data(), encoded.size());
  return {std::move(block.ref), encoded.size()};
}

std::shared_ptr<const void> constant(const Constant& constant, const std::type_info& type,
                                     std::shared_ptr<const void> (*decode)(Decoder&)) {
  if (constant.ref.kind() != memory::Kind::block || constant.size > constant.ref.bytes()) {
    throw TypeMismatch("what arrived as an mp::Shared is another object");
  }
  const auto same = [&](const Decoded& each) { return each.block == constant.ref && *each.type == type; };
  if (const auto found = std::ranges::find_if(kept, same); found != kept.end()) {
    std::rotate(found, found + 1, kept.end());
    return kept.back().value;
  }
  Decoder in({static_cast<const std::byte*>(constant.ref.address()), constant.size});
  Decoded fresh{constant.ref, &type, decode(in)};
  if (kept.size() == most_kept) kept.erase(kept.begin());
  kept.push_back(std::move(fresh));
  return kept.back().value;
}

}  // namespace multiprocessing::codec
