// Payloads that are too large for a ring: a block in the family's memory instead.
#pragma once

#include <cstring>
#include <span>

#include "multiprocessing/detail/ref.hpp"
#include "multiprocessing/errors.hpp"
#include "pool/mailbox.hpp"

namespace multiprocessing::pool {

// Copies the payload into a block of its own; `name` is what travels.
inline memory::Ref make_block(std::span<const std::byte> payload, BlockName& name) {
  memory::Ref block = memory::take_block(payload.size()).ref;
  std::memcpy(block.address(), payload.data(), payload.size());
  name = {block.id(), payload.size()};
  return block;
}

// The payload of a record, wherever it is.
class Block {
 public:
  explicit Block(const Received& record) : bytes_(record.payload) {
    if ((record.flags & by_handle) == 0) return;
    BlockName name;
    if (record.payload.size() != sizeof name) throw Error("the pool's mailbox is damaged");
    std::memcpy(&name, record.payload.data(), sizeof name);
    ref_ = memory::Ref::adopt(name.id, memory::Kind::block);
    if (name.size > ref_.bytes()) throw Error("the pool's mailbox is damaged");
    bytes_ = {static_cast<const std::byte*>(ref_.address()), name.size};
  }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  memory::Ref ref_;
  std::span<const std::byte> bytes_;
};

}  // namespace multiprocessing::pool
