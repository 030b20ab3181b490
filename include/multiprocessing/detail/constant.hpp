// Constants: values that are encoded once and decoded once in each thread (shared.hpp).  Layer: codec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <typeinfo>
#include <utility>

#include "multiprocessing/detail/archive_bytes.hpp"
#include "multiprocessing/detail/ref.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::codec {

struct Constant {
  memory::Ref ref;  // to the block that it lies in
  std::uint64_t size = 0;
  Constant(std::nullptr_t) noexcept {}  // NOLINT: none
  Constant(memory::Ref block, std::uint64_t bytes) noexcept : ref(std::move(block)), size(bytes) {}
};

// Throws NotSendable when what was encoded names objects of this library, OsError when there is no memory.
[[nodiscard]] Constant make_constant(const Encoder& encoded);

// The decoded value: from what this thread has decoded before, or by `decode`.  Throws TypeMismatch when the object is
// no block.
[[nodiscard]] std::shared_ptr<const void> constant(const Constant& constant, const std::type_info& type,
                                                   std::shared_ptr<const void> (*decode)(Decoder&));

}  // namespace multiprocessing::codec

#pragma GCC visibility pop
