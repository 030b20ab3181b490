#include "multiprocessing/detail/message_buffer.hpp"

#include <algorithm>
#include <cstring>

#include "os/os.hpp"

namespace multiprocessing::channel {
namespace {
constexpr std::size_t smallest = std::size_t{4} << 10;
constexpr std::size_t largest_kept = std::size_t{1} << 20;
}  // namespace

MessageBuffer::MessageBuffer() = default;
MessageBuffer::~MessageBuffer() = default;

void MessageBuffer::expect(std::size_t messages) {
  size_ = 0;
  ends_.clear();
  ends_.reserve(messages);
  blocks_.reserve(messages);
  const std::size_t room_for_small = messages == 1 ? smallest : smallest * 16;
  if (capacity_ < room_for_small) reserve(room_for_small);
}

std::size_t MessageBuffer::room() const noexcept { return ends_.size() < ends_.capacity() ? capacity_ - size_ : 0; }

void MessageBuffer::reserve(std::size_t bytes) {  // nothing is kept yet when it is called
  if (bytes < smallest) bytes = smallest;
  data_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
  capacity_ = bytes;
}

void MessageBuffer::accept(std::span<const std::byte> bytes) noexcept {
  if (!bytes.empty()) std::memcpy(data_.get() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
  ends_.push_back(size_);
}

void MessageBuffer::accept_block(memory::Ref block, std::size_t bytes) noexcept {
  blocks_.push_back({ends_.size(), std::move(block), bytes});
  ends_.push_back(size_);
}

void MessageBuffer::accept_handles(std::vector<memory::Ref> handles) noexcept {
  for (memory::Ref& handle : handles) handles_.push_back(std::move(handle));
}

std::span<const std::byte> MessageBuffer::message(std::size_t i) const noexcept {
  const auto block = std::ranges::lower_bound(blocks_, i, {}, &Block::message);
  if (block != blocks_.end() && block->message == i) {
    return {static_cast<const std::byte*>(block->ref.address()), block->size};
  }
  const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
  return {data_.get() + begin, ends_[i] - begin};
}

void MessageBuffer::done() noexcept {
  handles_.clear();
  blocks_.clear();
  if (capacity_ > largest_kept) {
    data_.reset();
    capacity_ = 0;
  }
}

void prefer_huge_pages(void* where, std::size_t bytes) noexcept {
  constexpr std::size_t worthwhile = std::size_t{4} << 20;  // below it a system call costs more than it saves
  if (bytes >= worthwhile) os::prefer_huge_pages(where, bytes);
}

}  // namespace multiprocessing::channel
