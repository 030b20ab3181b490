// The heap of the arena: a buddy system of page runs, and slabs of small blocks inside single pages.
//
// Invariants
//   1. The arena's lock is held in every call; changes go through the caller's Transaction, so an allocation and
//      the store that records who owns it are one change: there is no moment at which a death leaks memory.
//   2. Free runs read as zeros: their owner gives the pages back to the kernel (os::discard) before freeing them.
//   3. A free run's buddy of the same order is not free.
// Offsets from outside are checked (REQUIRES lines): a bad one aborts the transaction with an Error.
#pragma once

#include <cstddef>
#include <cstdint>

#include "memory/layout.hpp"
#include "memory/transaction.hpp"

namespace multiprocessing::memory {

class Heap {
 public:
  explicit Heap(ArenaHeader& arena) noexcept : arena_(arena) {}

  // Once, when the arena is made (no transaction: nobody else sees it yet).
  void format() noexcept;

  // An offset; throws OsError(ENOMEM).  `bytes` ≤ max_block.
  static constexpr std::size_t max_block = 2048;
  std::uint64_t allocate_block(Transaction& change, std::size_t bytes);
  void free_block(Transaction& change, std::uint64_t offset);

  // A run of at least `bytes`, a power of two of pages, not in any owner's list.
  std::uint64_t allocate_run(Transaction& change, std::size_t bytes);
  void free_run(Transaction& change, std::uint64_t offset);  // REQUIRES: its pages were discarded
  [[nodiscard]] std::size_t run_bytes(std::uint64_t offset) const;

  // A block that is no slab block is a run.
  [[nodiscard]] bool is_run(std::uint64_t offset) const;

  // Lists of runs that an object owns: `head` is ObjectEntry::runs.
  void link_run(Transaction& change, Word& head, std::uint64_t offset, std::uint32_t owner);
  void unlink_run(Transaction& change, Word& head, std::uint64_t offset);
  [[nodiscard]] std::uint32_t run_owner(std::uint64_t offset) const;
  [[nodiscard]] std::uint64_t run_offset(std::uint64_t page_plus_1) const noexcept;

 private:
  [[nodiscard]] PageInfo& info(std::uint64_t page) const noexcept;
  [[nodiscard]] std::uint64_t page_of(std::uint64_t offset) const;
  [[nodiscard]] PageInfo& taken_run(std::uint64_t offset) const;
  void push(Transaction& change, Word& head, std::uint64_t page);
  void remove(Transaction& change, Word& head, std::uint64_t page);
  std::uint64_t take_pages(Transaction& change, int order);
  void give_pages(Transaction& change, std::uint64_t page, int order);

  ArenaHeader& arena_;
};

}  // namespace multiprocessing::memory
