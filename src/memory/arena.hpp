// The arena as this process sees it, and the operations on objects that channels are built from.
//
// Invariants
//   1. Arena is one per process, made on first use, inherited over fork at the same address, by a program that is
//      executed as a descriptor, then at any address; never unmapped and never destroyed (handles in static storage
//      outlive everything).
//   2. Two locks, always in this order: `gate` (private to the process: no hold may change while it forks), then
//      the arena's own lock (ArenaHeader::lock).  Neither is held while user code runs.
//   3. An object that nobody holds and no message names is destroyed by whoever let it go last.  From then on it is
//      `dying`, under the bit of its destroyer: if that one dies, whoever reaps it goes on (objects.cpp).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "memory/family.hpp"
#include "memory/heap.hpp"
#include "memory/layout.hpp"
#include "multiprocessing/detail/ref.hpp"
#include "os/os.hpp"

namespace multiprocessing::memory {

class Arena {
 public:
  static Arena& get() {  // makes it on first use; throws OsError
    Arena* const made = if_made();
    return made != nullptr ? *made : make();
  }
  [[nodiscard]] static Arena* if_made() noexcept {  // null before that
    return the_arena.load(std::memory_order_acquire);
  }

  // That of the family this program was executed for, instead of one of its own.  REQUIRES: before the first use.
  static void attach(base::Fd memory, MemberId self);
  // The file that it lies in.  Throws OsError(EBADF) when the program has closed it.
  [[nodiscard]] int descriptor() const;

  // The arena's lock with recovery; for a scope.
  class Locked {
   public:
    explicit Locked(Arena& arena) noexcept;
    ~Locked() { arena_.header_->lock.release(); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

   private:
    Arena& arena_;
  };

  [[nodiscard]] ArenaHeader& header() noexcept { return *header_; }
  [[nodiscard]] Heap heap() noexcept { return Heap(*header_); }
  [[nodiscard]] MemberSlot& member(MemberId id) noexcept;
  [[nodiscard]] ObjectEntry& object(std::uint32_t index) noexcept {
    return reinterpret_cast<ObjectEntry*>(reinterpret_cast<char*>(header_) + header_->objects_at)[index];
  }
  [[nodiscard]] Word& holding_word(MemberId id, std::uint32_t object_index) noexcept;
  [[nodiscard]] std::uint64_t offset_of(const void* address) const noexcept;

  // `bytes` bytes at `offset` of the heap; throws Error where that is not all heap.
  [[nodiscard]] void* at(std::uint64_t offset, std::size_t bytes) const {
    const bool inside = offset >= header_->heap_at && offset < header_->bytes && bytes <= header_->bytes - offset;
    if (!inside) throw_outside(offset, bytes);
    return reinterpret_cast<char*>(header_) + offset;
  }

  // --- this process (private memory) ---
  std::mutex gate;
  MemberId self = 0;
  bool guest = false;                // made by somebody else's fork(): `self` is the parent's, touch nothing of it
  static thread_local bool forking;  // this thread is in fork_member(): the child will be a member, not a guest
  std::atomic<std::uint32_t>* counts = nullptr;  // Refs of this process, by object index
  std::vector<Block> spares;                     // oldest first; guarded by the gate (blocks.cpp)

 private:
  Arena();
  Arena(base::Fd memory, MemberId member);
  static Arena& make();
  [[noreturn]] static void throw_outside(std::uint64_t offset, std::size_t bytes);
  static inline std::atomic<Arena*> the_arena{nullptr};
  void map();
  void keep(base::Fd memory) noexcept;
  void make_counts();
  void lay_out(std::uint64_t bytes);
  ArenaHeader* header_ = nullptr;
  int memory_ = -1;  // not a base::Fd: a program may have closed it behind our back
  os::FileIdentity memory_identity_;
};

// --- membership (family.cpp; gate held, arena not locked) ---
// A process made by somebody else's fork() becomes a member of its own before it changes anything.
void join_if_guest(Arena& arena);

// --- objects (objects.cpp) ---
// Destroys all that `member` alone holds and clears its bitmap; the gate is held, the arena is not locked.
void release_all_of(Arena& arena, MemberId member) noexcept;
void finish_limbo_of(Arena& arena, MemberId member) noexcept;

// Allocates a run owned by `owner` and stores its offset in `where`, in one change; does nothing when `where` is
// not 0 any more (someone else was faster).  `where` lies in the arena.  Throws OsError(ENOMEM).
void allocate_run(const Ref& owner, Word& where, std::size_t bytes);
// In one change stores `next` in `where` and takes the run it named (if any) away from its owner into this
// process's limbo; finish_limbo() then gives the memory back, which takes longer and needs no lock of the caller's.
void replace_run(Word& where, std::uint64_t next);
void finish_limbo();
inline void free_run(Word& where) {
  replace_run(where, 0);
  finish_limbo();
}
[[nodiscard]] std::size_t run_bytes(std::uint64_t offset);

// Lets go of all that keep_block() has kept.  REQUIRES: the gate is not held.
void forget_blocks(Arena& arena) noexcept;
// No other member holds the object, no message names it, and this process has this many Refs to it.
// REQUIRES: arena locked.
[[nodiscard]] bool is_unshared(Arena& arena, const Ref& object, std::uint32_t refs) noexcept;

// All objects of a kind that are alive, held.
[[nodiscard]] std::vector<Ref> objects_of(Kind kind);

// A message at `position` of `carrier` names these objects: they stay alive until drop_cargo() passes it.  Positions
// are 32-bit sequence numbers that wrap.
void load_cargo(const Ref& carrier, std::span<const Ref> objects, std::uint32_t position);
// Lets go of what messages before `limit` named.
void drop_cargo(const Ref& carrier, std::uint32_t limit) noexcept;
[[nodiscard]] inline bool has_cargo(const Ref& carrier) noexcept {
  return Arena::get().object(carrier.index()).cargo.load(std::memory_order_relaxed) != 0;
}

}  // namespace multiprocessing::memory
