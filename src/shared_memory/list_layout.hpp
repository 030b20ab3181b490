// A ShareableList in its block (docs/formats/shared_memory.md).
//
//    0  ListHeader                    magic, version, count, the lock
//  128  ListSlot[count]               where each item lies, and which of its two versions holds
//   …   the items: twice `room` bytes each, aligned to 8
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include "os/files.hpp"
#include "sync/robust_lock.hpp"

namespace multiprocessing::shared_memory {

inline constexpr std::uint64_t list_magic = 0x317473696c706d2eU;  // ".mplist1"

struct alignas(64) ListHeader {
  std::uint64_t magic = list_magic;
  std::uint64_t bytes = 0;  // of the block
  std::uint64_t count = 0;
  std::uint64_t lock_bytes = sizeof(sync::RobustLock);  // another C library, another lock
  std::uint64_t pids_device = 0;  // the namespace of process ids: the lock knows its holder by such a number
  std::uint64_t pids_inode = 0;
  sync::RobustLock lock;
};
static_assert(std::is_standard_layout_v<ListHeader> && sizeof(ListHeader) == 128);

enum class ItemType : std::uint32_t { none, boolean, integer, number, text, bytes, count_ };

struct ItemVersion {
  ItemType type = ItemType::none;
  std::uint32_t length = 0;
};

struct ListSlot {
  std::uint64_t at = 0;    // of its two versions' bytes, from the block's beginning
  std::uint64_t room = 0;  // for each of them
  std::atomic<std::uint32_t> current{0};
  std::uint32_t reserved = 0;
  ItemVersion versions[2];
};
static_assert(std::is_standard_layout_v<ListSlot> && sizeof(ListSlot) == 40);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace multiprocessing::shared_memory
