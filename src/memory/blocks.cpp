// Blocks that go from process to process and are used again.
//
// Whoever has sent a block keeps it too, in Arena::spares.  It is free again when neither another member nor a message
// has it: the arena knows that of every object, and it stays true when any of them dies.  So no list is shared and
// nothing has to be given back; a process that dies with spares lets go of them as of all that it held.
//
// A child would hold what its parent keeps, for nothing and for as long as it lives: so a process forgets its spares
// before it forks (family.cpp).
#include <algorithm>
#include <atomic>
#include <bit>
#include <mutex>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "memory/arena.hpp"
#include "os/os.hpp"

namespace multiprocessing::memory {
namespace {

constexpr std::size_t most_blocks = 64;  // each is looked at while the arena is locked
constexpr std::size_t most_waste = 4;    // times what is asked for

// Never more than was on its way at some time, and of that at most so many bytes.  Not a guarded static local: a child
// forked while another thread initialises one waits for that thread for ever.
std::size_t most_kept() {
  static std::atomic<std::uint64_t> known{0};
  std::uint64_t bytes = known.load(std::memory_order_relaxed);
  if (bytes == 0) {
    bytes = std::clamp<std::uint64_t>(os::physical_memory() / 16, std::uint64_t{64} << 20, std::uint64_t{1} << 30);
    known.store(bytes, std::memory_order_relaxed);
  }
  return bytes;
}

// What the heap gives anyway.
std::size_t rounded(std::size_t bytes) {
  if (bytes <= Heap::max_block) return bytes;
  return std::bit_ceil(std::min(bytes, std::size_t{1} << 62));
}

bool suits(const Block& block, std::size_t bytes) {
  const std::size_t room = block.ref.bytes();
  return room >= bytes && room / most_waste <= std::max(bytes, page_bytes);
}

Block take_spare(Arena& arena, std::size_t bytes) {
  const std::lock_guard gate(arena.gate);
  if (arena.guest || arena.spares.empty()) return {};
  const Arena::Locked locked(arena);
  // The oldest that is free: the likeliest to have left the cache of whoever read it.
  const auto oldest = std::ranges::find_if(
      arena.spares, [&](const Block& spare) { return suits(spare, bytes) && is_unshared(arena, spare.ref, 1); });
  if (oldest == arena.spares.end()) return {};
  Block taken = std::move(*oldest);
  arena.spares.erase(oldest);
  return taken;
}

std::size_t secured_by(const std::vector<Block>& blocks) {
  std::size_t bytes = 0;
  for (const Block& block : blocks) bytes += block.secured;
  return bytes;
}

bool has_room(const std::vector<Block>& spares, std::size_t bytes) {
  return spares.size() < most_blocks && secured_by(spares) + bytes <= most_kept();
}

// Drops what is free and of another size, the oldest first.  What is free and of this size is as good as the block that
// wants room, or better: it can be taken at once.
void make_room(Arena& arena, std::size_t bytes, std::vector<Block>& dropped) {
  std::vector<Block>& spares = arena.spares;
  if (has_room(spares, bytes)) return;
  dropped.reserve(spares.size());
  const Arena::Locked locked(arena);
  for (auto spare = spares.begin(); spare != spares.end() && !has_room(spares, bytes);) {
    if (suits(*spare, bytes) || !is_unshared(arena, spare->ref, 1)) {
      ++spare;
      continue;
    }
    dropped.push_back(std::move(*spare));
    spare = spares.erase(spare);
  }
}

}  // namespace

Block take_block(std::size_t bytes) {
  Block block = take_spare(Arena::get(), bytes);
  if (!block.ref) block.ref = Ref::create(Kind::block, rounded(bytes));
  if (block.secured < bytes) {
    if (const int error = os::populate(block.ref.address(), bytes); error < 0) {
      base::throw_os_error("secure " + std::to_string(bytes) + " bytes of", "shared memory", -error);
    }
    block.secured = bytes;
  }
  return block;
}

void keep_block(Block block) noexcept {
  if (!block.ref) return;
  Arena& arena = *Arena::if_made();
  std::vector<Block> dropped;  // after the gate: letting go takes it
  const std::lock_guard gate(arena.gate);
  if (arena.guest) return;
  std::vector<Block>& spares = arena.spares;
  try {
    make_room(arena, block.secured, dropped);
    if (has_room(spares, block.secured)) spares.push_back(std::move(block));
  } catch (const std::bad_alloc&) {  // then it is not kept
  }
}

void forget_blocks(Arena& arena) noexcept {
  std::vector<Block> dropped;
  const std::lock_guard gate(arena.gate);
  dropped.swap(arena.spares);
}

}  // namespace multiprocessing::memory
