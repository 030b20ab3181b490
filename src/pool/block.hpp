// Payloads that are too large for a ring: a block in the family's memory instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "multiprocessing/detail/ref.hpp"
#include "multiprocessing/errors.hpp"
#include "pool/mailbox.hpp"

namespace multiprocessing::pool {

// Copies the payload into a block of its own, and behind it the ids of `carried`, which whoever opens it takes hold of;
// `name` is what travels.
inline memory::Ref make_block(std::span<const std::byte> payload, std::span<const memory::Ref> carried,
                              BlockName& name) {
  memory::Ref block = memory::take_block(payload.size() + carried.size() * sizeof(std::uint64_t)).ref;
  auto* to = static_cast<std::byte*>(block.address());
  std::memcpy(to, payload.data(), payload.size());
  to += payload.size();
  for (const memory::Ref& each : carried) {
    const std::uint64_t id = each.id();
    std::memcpy(to, &id, sizeof id);
    to += sizeof id;
  }
  name = {block.id(), payload.size(), carried.size()};
  return block;
}

// The payload of a record, wherever it is.  What a block carries is held as long as this.
class Block {
 public:
  Block() = default;
  explicit Block(const Received& record) : bytes_(record.payload) {
    if ((record.flags & by_handle) == 0) return;
    BlockName name;
    if (record.payload.size() != sizeof name) throw Error("the pool's mailbox is damaged");
    std::memcpy(&name, record.payload.data(), sizeof name);
    ref_ = memory::Ref::adopt(name.id, memory::Kind::block);
    if (name.size > ref_.bytes() || name.carried > (ref_.bytes() - name.size) / sizeof(std::uint64_t)) {
      throw Error("the pool's mailbox is damaged");
    }
    bytes_ = {static_cast<const std::byte*>(ref_.address()), name.size};
    carried_.reserve(name.carried);
    for (std::size_t i = 0; i < name.carried; ++i) {
      std::uint64_t id = 0;
      std::memcpy(&id, bytes_.data() + name.size + i * sizeof id, sizeof id);
      carried_.push_back(memory::Ref::adopt(id));
    }
  }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  memory::Ref ref_;
  std::vector<memory::Ref> carried_;
  std::span<const std::byte> bytes_;
};

}  // namespace multiprocessing::pool
