// The layout of a family's arena.  One anonymous memfd, mapped shared, sparse: only what is touched costs memory.
//
//   header    one ArenaHeader: sizes, the arena's lock, its undo log, list heads
//   members   MemberSlot[max_members]                who is in the family
//   holdings  Word[max_members][max_objects / 64]    bit o of row m: member m holds object o
//   objects   ObjectEntry[max_objects]               what a handle's index names
//   pages     PageInfo[heap_pages]                   one per page of the heap
//   heap      heap_pages × 4 KiB                     blocks (≤ 2 KiB, in slabs) and runs of 2^n pages
//
// Every field that changes is a 64-bit Word, changed only under the arena's lock and through a Transaction
// (transaction.hpp), so a process may die at any instruction.  Positions are offsets from the start of the arena or
// indices + 1 (0: none); nothing holds a pointer.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "sync/robust_lock.hpp"

namespace multiprocessing::memory {

using Word = std::atomic<std::uint64_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == 8, "a lock inside libatomic is private to one process");

inline constexpr std::uint64_t arena_magic = 0x316e6572612d706dU;  // "mp-aren1"
inline constexpr std::size_t page_bytes = 4096;
inline constexpr int orders = 44;       // runs of 2^0 … 2^43 pages
inline constexpr int slab_classes = 6;  // blocks of 64, 128 … 2,048 bytes

struct UndoEntry {
  Word where;  // offset of the word
  Word old;    // what it was
};

// 0 ≤ count ≤ capacity.  While count > 0 a transaction is under way (or its process is dead): undoing entries
// count-1 … 0 restores the state before it.
struct UndoLog {
  static constexpr std::size_t capacity = 1024;
  Word count;
  std::array<UndoEntry, capacity> entries;
};

struct ArenaHeader {
  std::uint64_t magic;
  std::uint64_t bytes;
  std::uint64_t max_members;
  std::uint64_t max_objects;
  std::uint64_t heap_pages;
  std::uint64_t members_at;  // offsets of the parts
  std::uint64_t holdings_at;
  std::uint64_t objects_at;
  std::uint64_t pages_at;
  std::uint64_t heap_at;
  std::uint64_t root_pid;
  alignas(64) sync::RobustLock lock;
  alignas(64) Word members_end;  // slots at and above this were never used
  Word objects_end;              // the same for objects
  Word free_object;              // index + 1
  Word objects_alive;
  Word heap_used;                        // bytes in slabs and runs that are taken
  std::array<Word, orders> free_runs;    // page + 1, by order
  std::array<Word, slab_classes> slabs;  // page + 1 of slabs with a free block
  UndoLog log;
};

enum class MemberState : std::uint64_t { free, starting, alive };

struct MemberSlot {
  Word state;
  Word incarnation;                 // counts uses of the slot
  Word pid;                         // 0 while starting
  Word born_from;                   // the process started between these two, in clock ticks since boot:
  Word born_until;                  //   (pid, start) is never reused, a bare pid is
  Word maker;                       // the member that forks it: id << 32 | incarnation
  Word guardian;                    // the member whose duty it is to reap it: the same form
  Word limbo;                       // offset of a run that this member is giving back
  std::atomic<std::uint32_t> gate;  // the child passes when it is 1; 2: the start failed, end
  std::atomic<std::uint32_t> born;  // pid of a child that somebody else forked for the maker; 0: there is none yet
};

enum class ObjectState : std::uint64_t { free, alive, dying };

struct ObjectEntry {
  Word state;
  Word identity;  // generation << 32 | kind
  Word block;     // offset of the object itself: a slab block or a run
  Word runs;      // page + 1: first of the further runs it owns
  Word pins;      // messages on their way that name it
  Word cargo;     // offset of the first CargoNode: messages that it carries, and what they name
  Word next;      // index + 1 in the list of free entries
  Word bytes;     // of the object, as asked for
};
static_assert(sizeof(ObjectEntry) == 64);

// A queue that carries handles keeps what they name alive until its consumers have passed `position`.
struct CargoNode {
  Word next;
  Word object;  // index
  Word position;
};

enum class PageState : std::uint64_t { other, free_run, taken_run, slab };

// `other`: inside a run or slab, or never used.
struct PageInfo {
  Word state;  // PageState | order or class << 8
  Word next;   // free_run: list of its order.  slab: list of its class.  taken_run: the owner's list.  (page + 1)
  Word previous;
  Word bitmap;  // slab: free blocks.  taken_run: owner's object index + 1
};
static_assert(sizeof(PageInfo) == 32);

}  // namespace multiprocessing::memory
