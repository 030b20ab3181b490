// Ref: one process's hold on an object in the family's shared memory.
//
// Every handle of the library (Queue, and what is to come) is a Ref and nothing else: index and generation, eight
// bytes, plus the address where this process sees the object.  Copying is one atomic increment in private memory.
//
// Threads: distinct Refs are independent; one Ref is like an int.  Fork: a child of this library holds everything
// that its parent held at the fork.  Ownership: the object lives as long as any living process holds it, or it is
// pinned by a message on its way; a process that dies, by any means, lets go of all it held.
// Errors: adopt() of an id whose object is gone throws Error; it never yields another object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::memory {

enum class Kind : std::uint32_t {
  none = 0,
  block = 1,
  queue = 2,
  event = 3,
  semaphore = 4,
  condition = 5,
  barrier = 6,
  connection = 7,
  manager = 8,    // a manager's Root,
  channel = 9,    // a Channel of one of its clients,
  companion = 10,  // what the holders of an object that it serves hold
  lock = 16,  // from here on the object begins with a sync::OwnedLock
  rlock = 17,
  value = 18,
  array = 19,
};

[[nodiscard]] constexpr bool begins_with_a_lock(Kind kind) noexcept { return kind >= Kind::lock; }

class Ref {
 public:
  Ref() noexcept = default;
  Ref(const Ref& other) noexcept : index_(other.index_), generation_(other.generation_), address_(other.address_) {
    if (address_ != nullptr) retain(index_);
  }
  Ref(Ref&& other) noexcept
      : index_(other.index_), generation_(other.generation_), address_(std::exchange(other.address_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(index_, other.index_);
    std::swap(generation_, other.generation_);
    std::swap(address_, other.address_);
    return *this;
  }
  ~Ref() {
    if (address_ != nullptr) drop(index_, generation_);
  }

  // Makes an object of `bytes` zeroed bytes; throws OsError when there is no memory.
  static Ref create(Kind kind, std::size_t bytes);
  // Takes hold of the object that id() named in another process (or here).  Throws Error when it is gone or of
  // another kind.
  static Ref adopt(std::uint64_t id);
  static Ref adopt(std::uint64_t id, Kind kind);

  [[nodiscard]] explicit operator bool() const noexcept { return address_ != nullptr; }
  [[nodiscard]] void* address() const noexcept { return address_; }
  [[nodiscard]] std::uint64_t id() const noexcept { return std::uint64_t{generation_} << 32 | index_; }
  [[nodiscard]] Kind kind() const noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept;  // as asked of create()
  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  [[nodiscard]] std::uint32_t use_count() const noexcept;  // Refs of this process to the object: a snapshot
  [[nodiscard]] friend bool operator==(const Ref& a, const Ref& b) noexcept {
    return a.address_ == b.address_ && a.generation_ == b.generation_;
  }

 private:
  Ref(std::uint32_t index, std::uint32_t generation, void* address) noexcept
      : index_(index), generation_(generation), address_(address) {}
  static void retain(std::uint32_t index) noexcept;
  static void drop(std::uint32_t index, std::uint32_t generation) noexcept;

  std::uint32_t index_ = 0;
  std::uint32_t generation_ = 0;
  void* address_ = nullptr;  // null: empty
};

// A block of memory that goes from process to process, with room for at least what was asked for.
struct Block {
  Ref ref;
  std::size_t secured = 0;  // bytes that are known to be backed by memory
};
// One whose content is whatever was in it, its memory secured: one that keep_block() got and that nobody has any more, if
// there is one.  Its pages are there already, which is worth more than the copying of what goes into them.  Throws
// OsError(ENOMEM).
[[nodiscard]] Block take_block(std::size_t bytes);
// Keeps the block, which others may have now or later, for take_block() of this process: as many as make up a sixteenth
// of the machine's memory, or 1 GiB, until it lets go of a queue or forks.
void keep_block(Block block) noexcept;

}  // namespace multiprocessing::memory

#pragma GCC visibility pop
