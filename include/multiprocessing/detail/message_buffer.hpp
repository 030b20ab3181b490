// Buffers of the channels' templates: where a taken message goes before it becomes a value.  Layer: channel.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "multiprocessing/detail/archive_bytes.hpp"
#include "multiprocessing/detail/byte_queue.hpp"
#include "multiprocessing/detail/ref.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::channel {

// Collects messages end to end; uninitialised memory that is kept for the next time.
class MessageBuffer final : public Receiver {
 public:
  MessageBuffer();
  ~MessageBuffer();
  MessageBuffer(const MessageBuffer&) = delete;
  MessageBuffer& operator=(const MessageBuffer&) = delete;

  void expect(std::size_t messages);  // room for so many: accept() may not allocate
  [[nodiscard]] std::size_t room() const noexcept override;
  void reserve(std::size_t bytes) override;
  void accept(std::span<const std::byte> bytes) noexcept override;
  void accept_block(memory::Ref block, std::size_t bytes) noexcept override;
  void accept_handles(std::vector<memory::Ref> handles) noexcept override;
  [[nodiscard]] std::span<const std::byte> message(std::size_t i) const noexcept;
  void done() noexcept;  // values are made: their handles hold for themselves now, and large memory goes back

 private:
  struct Block {
    std::size_t message;
    memory::Ref ref;
    std::size_t size;
  };
  std::unique_ptr<std::byte[]> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::vector<std::size_t> ends_;
  std::vector<memory::Ref> handles_;
  std::vector<Block> blocks_;
};

// A hint, for memory that is about to be filled: a large vector costs less than half in huge pages.
void prefer_huge_pages(void* where, std::size_t bytes) noexcept;

// A bulk value (codec::is_bulk) is filled straight from shared memory.
template <class T, auto Reserve, auto Assign>
class BulkReceiver final : public Receiver {
 public:
  explicit BulkReceiver(T& value) noexcept : value_(value) {}
  [[nodiscard]] std::size_t room() const noexcept override {
    return value_.capacity() * sizeof(typename T::value_type);
  }
  void reserve(std::size_t bytes) override {
    Reserve(value_, bytes);
    prefer_huge_pages(value_.data(), bytes);
  }
  void accept(std::span<const std::byte> bytes) noexcept override { Assign(value_, bytes); }
  void accept_handles(std::vector<memory::Ref>) noexcept override {}
  void accept_block(memory::Ref block, std::size_t bytes) noexcept override {
    block_ = std::move(block);
    bytes_ = bytes;
  }
  // After the take: what is in a block is still there.
  void done() {
    if (!block_) return;
    reserve(bytes_);
    Assign(value_, {static_cast<const std::byte*>(block_.address()), bytes_});
  }

 private:
  T& value_;
  memory::Ref block_;
  std::size_t bytes_ = 0;
};

// The calling thread's reusable object, or a fresh one while that is in use further up the stack (a serializer of
// the user's may itself put or get).
template <class T>
class Scratch {
 public:
  Scratch() : borrowed_(!std::exchange(in_use(), true)), own_(borrowed_ ? nullptr : std::make_unique<T>()) {}
  ~Scratch() {
    if (borrowed_) in_use() = false;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T& operator*() noexcept { return borrowed_ ? kept() : *own_; }
  T* operator->() noexcept { return &**this; }

 private:
  static bool& in_use() noexcept {
    thread_local bool used = false;
    return used;
  }
  static T& kept() noexcept {
    thread_local T object;
    return object;
  }
  bool borrowed_;
  std::unique_ptr<T> own_;
};

}  // namespace multiprocessing::channel

#pragma GCC visibility pop
