#include "multiprocessing/shared_memory.hpp"

#include <stdexcept>
#include <utility>

#include "shared_memory/block.hpp"

namespace multiprocessing {
namespace {

std::shared_ptr<shared_memory::Block> make(const SharedMemoryOptions& options) {
  if (options.mode != 0600) {
    throw std::invalid_argument("SharedMemory: the mode is 0600; other users cannot attach (see shared_memory.hpp)");
  }
  if (!options.create && options.persist) {
    throw std::invalid_argument("SharedMemory: whether it persists is said by who creates it");
  }
  if (!options.create) return shared_memory::attach(options.name);
  return shared_memory::create({.name = options.name, .size = options.size, .persist = options.persist});
}

}  // namespace

SharedMemory::SharedMemory(const SharedMemoryOptions& options) : block_(make(options)) {}

SharedMemory::SharedMemory(std::shared_ptr<shared_memory::Block> block) noexcept : block_(std::move(block)) {}

const shared_memory::Block& SharedMemory::block() const {
  if (block_ == nullptr) throw std::logic_error("SharedMemory: it was moved from, or never received");
  return *block_;
}

std::span<std::byte> SharedMemory::span() const {
  std::byte* const memory = block().memory();
  if (memory == nullptr) throw std::logic_error("SharedMemory: '" + name() + "' is closed");
  return {memory, block_->size()};
}

std::size_t SharedMemory::size() const noexcept { return block_ != nullptr ? block_->size() : 0; }

const std::string& SharedMemory::name() const { return block().name(); }

void SharedMemory::close() const noexcept {
  if (block_ != nullptr) block_->close();
}

void SharedMemory::unlink() const { block().unlink(); }

shared_memory::Sent SharedMemory::to_send() const {
  const shared_memory::Block::Identity& identity = block().identity();
  return {identity.name, identity.directory, identity.id, identity.is_ours};
}

void SharedMemory::receive(const shared_memory::Sent& sent) {
  block_ = shared_memory::adopt({sent.name, sent.directory, sent.id, false, sent.is_ours});
}

}  // namespace multiprocessing
