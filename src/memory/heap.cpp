#include "memory/heap.hpp"

#include <bit>
#include <string>

#include "base/error.hpp"

namespace multiprocessing::memory {
namespace {

constexpr std::uint64_t pack(PageState state, int order) {
  return static_cast<std::uint64_t>(state) | static_cast<std::uint64_t>(order) << 8;
}
constexpr PageState state_of(std::uint64_t packed) { return static_cast<PageState>(packed & 0xff); }
constexpr int order_of(std::uint64_t packed) { return static_cast<int>(packed >> 8); }

constexpr std::size_t class_bytes(int slab_class) { return std::size_t{64} << slab_class; }
constexpr std::uint64_t all_blocks(int slab_class) {
  const std::size_t blocks = page_bytes / class_bytes(slab_class);
  return blocks == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << blocks) - 1;
}
static_assert(page_bytes / class_bytes(0) == 64, "the bitmap of a slab is one word");

[[noreturn]] void throw_damaged(const char* what, std::uint64_t offset) {
  throw Error("shared memory is damaged: " + std::string(what) + " at offset " + std::to_string(offset) +
              " (a process of this family has written where it should not)");
}

}  // namespace

PageInfo& Heap::info(std::uint64_t page) const noexcept {
  return reinterpret_cast<PageInfo*>(reinterpret_cast<char*>(&arena_) + arena_.pages_at)[page];
}

std::uint64_t Heap::page_of(std::uint64_t offset) const {
  const std::uint64_t page = (offset - arena_.heap_at) / page_bytes;
  if (offset < arena_.heap_at || page >= arena_.heap_pages) throw_damaged("no heap block", offset);
  return page;
}

std::uint64_t Heap::run_offset(std::uint64_t page_plus_1) const noexcept {
  return arena_.heap_at + (page_plus_1 - 1) * page_bytes;
}

void Heap::format() noexcept {
  // Greedy: the largest aligned power of two that still fits, again and again.
  Transaction change(arena_);
  std::uint64_t page = 0;
  while (page < arena_.heap_pages) {
    int order = page == 0 ? orders - 1 : std::countr_zero(page);
    while ((std::uint64_t{1} << order) > arena_.heap_pages - page) --order;
    change.set(info(page).state, pack(PageState::free_run, order));
    push(change, arena_.free_runs[order], page);
    page += std::uint64_t{1} << order;
  }
  change.commit();
}

void Heap::push(Transaction& change, Word& head, std::uint64_t page) {
  const std::uint64_t next = head.load(std::memory_order_relaxed);
  change.set(info(page).next, next);
  change.set(info(page).previous, 0);
  if (next != 0) change.set(info(next - 1).previous, page + 1);
  change.set(head, page + 1);
}

void Heap::remove(Transaction& change, Word& head, std::uint64_t page) {
  const std::uint64_t next = info(page).next.load(std::memory_order_relaxed);
  const std::uint64_t previous = info(page).previous.load(std::memory_order_relaxed);
  if (next > arena_.heap_pages || previous > arena_.heap_pages) throw_damaged("page list", run_offset(page + 1));
  if (next != 0) change.set(info(next - 1).previous, previous);
  change.set(previous != 0 ? info(previous - 1).next : head, next);
}

std::uint64_t Heap::take_pages(Transaction& change, int order) {
  int from = order;
  while (from < orders && arena_.free_runs[from].load(std::memory_order_relaxed) == 0) ++from;
  if (from >= orders) {
    base::throw_os_error("allocate " + std::to_string(page_bytes << order) + " bytes of", "shared memory", ENOMEM);
  }
  const std::uint64_t page = arena_.free_runs[from].load(std::memory_order_relaxed) - 1;
  if (page >= arena_.heap_pages) throw_damaged("free list", page);
  remove(change, arena_.free_runs[from], page);
  while (from > order) {  // keep the lower half, free the upper
    --from;
    const std::uint64_t buddy = page + (std::uint64_t{1} << from);
    change.set(info(buddy).state, pack(PageState::free_run, from));
    push(change, arena_.free_runs[from], buddy);
  }
  change.set(arena_.heap_used, arena_.heap_used.load(std::memory_order_relaxed) + (page_bytes << order));
  return page;
}

void Heap::give_pages(Transaction& change, std::uint64_t page, int order) {
  change.set(arena_.heap_used, arena_.heap_used.load(std::memory_order_relaxed) - (page_bytes << order));
  for (; order + 1 < orders; ++order) {
    const std::uint64_t buddy = page ^ (std::uint64_t{1} << order);
    if (buddy >= arena_.heap_pages) break;
    if (info(buddy).state.load(std::memory_order_relaxed) != pack(PageState::free_run, order)) break;
    remove(change, arena_.free_runs[order], buddy);
    change.set(info(buddy).state, pack(PageState::other, 0));
    change.set(info(page).state, pack(PageState::other, 0));
    page &= ~(std::uint64_t{1} << order);
  }
  change.set(info(page).state, pack(PageState::free_run, order));
  push(change, arena_.free_runs[order], page);
}

std::uint64_t Heap::allocate_block(Transaction& change, std::size_t bytes) {
  const int slab_class = bytes <= 64 ? 0 : static_cast<int>(std::bit_width(bytes - 1)) - 6;
  Word& head = arena_.slabs[slab_class];
  if (head.load(std::memory_order_relaxed) == 0) {
    const std::uint64_t fresh = take_pages(change, 0);
    change.set(info(fresh).state, pack(PageState::slab, slab_class));
    change.set(info(fresh).bitmap, all_blocks(slab_class));
    push(change, head, fresh);
  }
  const std::uint64_t page = head.load(std::memory_order_relaxed) - 1;
  if (page >= arena_.heap_pages) throw_damaged("slab list", page);
  const std::uint64_t bitmap = info(page).bitmap.load(std::memory_order_relaxed);
  if (bitmap == 0) throw_damaged("slab", run_offset(page + 1));
  const std::uint64_t rest = bitmap & (bitmap - 1);
  change.set(info(page).bitmap, rest);
  if (rest == 0) remove(change, head, page);
  return run_offset(page + 1) + static_cast<std::uint64_t>(std::countr_zero(bitmap)) * class_bytes(slab_class);
}

void Heap::free_block(Transaction& change, std::uint64_t offset) {
  const std::uint64_t page = page_of(offset);
  const std::uint64_t packed = info(page).state.load(std::memory_order_relaxed);
  const int slab_class = order_of(packed);
  if (state_of(packed) != PageState::slab || slab_class >= slab_classes) throw_damaged("no slab", offset);
  const std::uint64_t block = offset % page_bytes / class_bytes(slab_class);
  const std::uint64_t bitmap = info(page).bitmap.load(std::memory_order_relaxed);
  if (bitmap & (std::uint64_t{1} << block)) throw_damaged("block freed twice", offset);
  // A slab that has become empty stays a slab: one page, reused by the next block of its class.
  if (bitmap == 0) push(change, arena_.slabs[slab_class], page);
  change.set(info(page).bitmap, bitmap | std::uint64_t{1} << block);
}

std::uint64_t Heap::allocate_run(Transaction& change, std::size_t bytes) {
  const std::uint64_t pages = bytes <= page_bytes ? 1 : (bytes - 1) / page_bytes + 1;
  if (pages > arena_.heap_pages) {
    base::throw_os_error("allocate " + std::to_string(bytes) + " bytes of", "shared memory", ENOMEM);
  }
  const auto order = static_cast<int>(std::bit_width(pages - 1));
  const std::uint64_t page = take_pages(change, order);
  change.set(info(page).state, pack(PageState::taken_run, order));
  change.set(info(page).bitmap, 0);
  return run_offset(page + 1);
}

PageInfo& Heap::taken_run(std::uint64_t offset) const {
  PageInfo& page = info(page_of(offset));
  const std::uint64_t packed = page.state.load(std::memory_order_relaxed);
  if (state_of(packed) != PageState::taken_run || order_of(packed) >= orders || offset % page_bytes != 0) {
    throw_damaged("no run", offset);
  }
  return page;
}

void Heap::free_run(Transaction& change, std::uint64_t offset) {
  give_pages(change, page_of(offset), order_of(taken_run(offset).state.load(std::memory_order_relaxed)));
}

std::size_t Heap::run_bytes(std::uint64_t offset) const {
  return page_bytes << order_of(taken_run(offset).state.load(std::memory_order_relaxed));
}

bool Heap::is_run(std::uint64_t offset) const {
  return state_of(info(page_of(offset)).state.load(std::memory_order_relaxed)) == PageState::taken_run &&
         offset % page_bytes == 0;
}

void Heap::link_run(Transaction& change, Word& head, std::uint64_t offset, std::uint32_t owner) {
  change.set(taken_run(offset).bitmap, std::uint64_t{owner} + 1);
  push(change, head, page_of(offset));
}

void Heap::unlink_run(Transaction& change, Word& head, std::uint64_t offset) {
  change.set(taken_run(offset).bitmap, 0);
  remove(change, head, page_of(offset));
}

std::uint32_t Heap::run_owner(std::uint64_t offset) const {
  const std::uint64_t owner = taken_run(offset).bitmap.load(std::memory_order_relaxed);
  if (owner == 0 || owner > arena_.max_objects) throw_damaged("run without an owner", offset);
  return static_cast<std::uint32_t>(owner - 1);
}

}  // namespace multiprocessing::memory
