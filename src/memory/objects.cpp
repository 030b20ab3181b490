// Objects: making, holding, letting go.
//
//  died …                                       what the others see
//  in create(), before commit                   nothing (the log is undone)
//  in create(), after commit                    an object held by the dead: reaped with its other holds
//  in let_go(), before commit                   the hold is still there: reaped
//  in let_go(), after commit, as the last       a dying object under the dead one's bit: the reaper destroys on
//  in destroy(), at any point                   the same: each step frees one thing in one transaction
//  in replace_run(), after the run is in limbo  the reaper finds it in the slot's limbo and frees it
//  in load_cargo(), before the message is out   pins that go when the carrier's consumers pass that position
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "memory/arena.hpp"
#include "os/os.hpp"
#include "sync/owned_lock.hpp"

namespace multiprocessing::memory {
namespace {

constexpr std::uint64_t bit_of(std::uint32_t index) { return std::uint64_t{1} << index % 64; }

std::uint64_t value(const Word& word) { return word.load(std::memory_order_relaxed); }

bool is(const Word& word, ObjectState state) { return value(word) == static_cast<std::uint64_t>(state); }

Kind kind_of(const ObjectEntry& entry) { return static_cast<Kind>(value(entry.identity) & 0xffffffffU); }

void set_state(Transaction& change, ObjectEntry& entry, ObjectState state) {
  change.set(entry.state, static_cast<std::uint64_t>(state));
}

bool holds(Arena& arena, MemberId member, std::uint32_t index) {
  return (value(arena.holding_word(member, index)) & bit_of(index)) != 0;
}

void set_hold(Arena& arena, Transaction& change, MemberId member, std::uint32_t index, bool held) {
  Word& word = arena.holding_word(member, index);
  const std::uint64_t old = value(word);
  change.set(word, held ? old | bit_of(index) : old & ~bit_of(index));
}

bool held_by_another(Arena& arena, MemberId member, std::uint32_t index) {
  const auto end = static_cast<MemberId>(value(arena.header().members_end));
  for (MemberId other = 0; other < end; ++other) {
    if (other != member && holds(arena, other, index) &&
        value(arena.member(other).state) != static_cast<std::uint64_t>(MemberState::free)) {
      return true;
    }
  }
  return false;
}

// From here on nobody can take hold of it: handles name the old generation.
void start_dying(Transaction& change, ObjectEntry& entry) {
  set_state(change, entry, ObjectState::dying);
  change.set(entry.identity, value(entry.identity) + (std::uint64_t{1} << 32));
}

std::uint32_t take_entry(Arena& arena, Transaction& change) {
  ArenaHeader& header = arena.header();
  const std::uint64_t free = value(header.free_object);
  if (free != 0) {
    const auto index = static_cast<std::uint32_t>(free - 1);
    change.set(header.free_object, value(arena.object(index).next));
    return index;
  }
  const std::uint64_t fresh = value(header.objects_end);
  if (fresh >= header.max_objects) {
    throw Error("too many objects in shared memory (" + std::to_string(header.max_objects) + " queues, locks …)");
  }
  change.set(header.objects_end, fresh + 1);
  return static_cast<std::uint32_t>(fresh);
}

// The member lets go of the object.  True: it was the last, the object is dying and now under `self`'s bit.
bool take_hold_away(Arena& arena, MemberId member, std::uint32_t index) {
  const Arena::Locked locked(arena);
  ObjectEntry& entry = arena.object(index);
  if (!holds(arena, member, index)) return false;
  Transaction change(arena.header());
  const bool was_dying = is(entry.state, ObjectState::dying);
  const bool last = was_dying || (is(entry.state, ObjectState::alive) && value(entry.pins) == 0 &&
                                  !held_by_another(arena, member, index));
  set_hold(arena, change, member, index, false);
  if (last) {
    set_hold(arena, change, arena.self, index, true);
    if (!was_dying) start_dying(change, entry);
  }
  change.commit();
  return last;
}

void discard(Arena& arena, std::uint64_t run) {
  const std::size_t bytes = arena.heap().run_bytes(run);
  void* memory = arena.at(run, bytes);
  if (os::discard(memory, bytes) < 0) std::memset(memory, 0, bytes);  // the kernel refuses locked pages (mlockall)
}

// Frees the first of the further runs.  False: there was none.
bool free_one_run(Arena& arena, ObjectEntry& entry) {
  const std::uint64_t first = value(entry.runs);
  if (first == 0) return false;
  const std::uint64_t run = arena.heap().run_offset(first);
  discard(arena, run);  // dying and under our bit: nobody else touches it
  const Arena::Locked locked(arena);
  Transaction change(arena.header());
  arena.heap().unlink_run(change, entry.runs, run);
  arena.heap().free_run(change, run);
  change.commit();
  return true;
}

// Takes node off the cargo list (`link` is the word that names it).  True: its object was named by nothing else, and
// is dying now, under our bit.
bool unload_node(Arena& arena, Word& link, std::uint32_t& object) {
  const std::uint64_t offset = value(link);
  auto& node = *static_cast<CargoNode*>(arena.at(offset, sizeof(CargoNode)));
  object = static_cast<std::uint32_t>(value(node.object));
  ObjectEntry& entry = arena.object(object);
  const std::uint64_t pins = value(entry.pins) - 1;
  Transaction change(arena.header());
  change.set(link, value(node.next));
  change.set(entry.pins, pins);
  arena.heap().free_block(change, offset);
  const bool last = pins == 0 && is(entry.state, ObjectState::alive) && !holds(arena, arena.self, object) &&
                    !held_by_another(arena, arena.self, object);
  if (last) {
    start_dying(change, entry);
    set_hold(arena, change, arena.self, object, true);
  }
  change.commit();
  return last;
}

// REQUIRES: dying, under our bit; gate held.  Objects that die with it follow.
void destroy(Arena& arena, std::uint32_t first) {
  std::vector<std::uint32_t> doomed{first};
  while (!doomed.empty()) {
    const std::uint32_t index = doomed.back();
    doomed.pop_back();
    ObjectEntry& entry = arena.object(index);
    while (free_one_run(arena, entry)) {
    }
    while (value(entry.cargo) != 0) {
      const Arena::Locked locked(arena);
      std::uint32_t named = 0;
      if (unload_node(arena, entry.cargo, named)) doomed.push_back(named);
    }
    const std::uint64_t block = value(entry.block);
    const bool is_run = arena.heap().is_run(block);
    if (is_run) discard(arena, block);
    const Arena::Locked locked(arena);
    Transaction change(arena.header());
    if (is_run) {
      arena.heap().free_run(change, block);
    } else {
      arena.heap().free_block(change, block);
    }
    set_state(change, entry, ObjectState::free);
    change.set(entry.next, value(arena.header().free_object));
    change.set(arena.header().free_object, std::uint64_t{index} + 1);
    change.set(arena.header().objects_alive, value(arena.header().objects_alive) - 1);
    set_hold(arena, change, arena.self, index, false);
    change.commit();
  }
}

void finish_own_limbo(Arena& arena) {
  MemberSlot& slot = arena.member(arena.self);
  const std::uint64_t run = value(slot.limbo);
  if (run == 0) return;
  discard(arena, run);
  const Arena::Locked locked(arena);
  Transaction change(arena.header());
  arena.heap().free_run(change, run);
  change.set(slot.limbo, 0);
  change.commit();
}

// The memory of a lock that a thread holds is a link of that thread's list of robust locks, and may not be given to
// anyone else.  A lock whose last handle goes is released; if another thread of this process has it, the object stays
// until this process ends.
bool let_go_of_lock(Arena& arena, std::uint32_t index) noexcept {
  const ObjectEntry& entry = arena.object(index);
  if (!begins_with_a_lock(kind_of(entry))) return true;
  auto& lock = *static_cast<sync::OwnedLock*>(arena.at(value(entry.block), sizeof(sync::OwnedLock)));
  if (lock.is_held_by_caller()) static_cast<void>(lock.release_all());
  return !lock.is_held_in_this_process();
}

}  // namespace

Ref Ref::create(Kind kind, std::size_t bytes) {
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  join_if_guest(arena);
  std::uint32_t index = 0;
  std::uint64_t identity = 0;
  std::uint64_t block = 0;
  {
    const Arena::Locked locked(arena);
    Transaction change(arena.header());
    index = take_entry(arena, change);
    ObjectEntry& entry = arena.object(index);
    block = bytes <= Heap::max_block ? arena.heap().allocate_block(change, bytes)
                                     : arena.heap().allocate_run(change, bytes);
    identity = value(entry.identity) >> 32 << 32 | static_cast<std::uint64_t>(kind);
    change.set(entry.block, block);
    change.set(entry.bytes, bytes);
    change.set(entry.identity, identity);
    change.set(entry.runs, 0);
    change.set(entry.pins, 0);
    change.set(entry.cargo, 0);
    set_state(change, entry, ObjectState::alive);
    change.set(arena.header().objects_alive, value(arena.header().objects_alive) + 1);
    set_hold(arena, change, arena.self, index, true);
    // Before the commit: from then on objects_of() finds it.  Runs read as zeros (heap.hpp).
    if (bytes <= Heap::max_block) std::memset(arena.at(block, bytes), 0, bytes);
    change.commit();
  }
  void* address = arena.at(block, bytes);
  arena.counts[index].store(1, std::memory_order_relaxed);
  return Ref(index, static_cast<std::uint32_t>(identity >> 32), address);
}

Ref Ref::adopt(std::uint64_t id) {
  const auto index = static_cast<std::uint32_t>(id);
  const auto generation = static_cast<std::uint32_t>(id >> 32);
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  join_if_guest(arena);
  const Arena::Locked locked(arena);
  if (index >= value(arena.header().objects_end) || !is(arena.object(index).state, ObjectState::alive) ||
      value(arena.object(index).identity) >> 32 != generation) {
    throw Error("the shared object " + std::to_string(id) +
                " does not exist any more: its last handle was dropped before this one was received");
  }
  if (!holds(arena, arena.self, index)) {
    Transaction change(arena.header());
    set_hold(arena, change, arena.self, index, true);
    change.commit();
  }
  retain(index);
  return Ref(index, generation, arena.at(value(arena.object(index).block), 1));
}

Ref Ref::adopt(std::uint64_t id, Kind kind) {
  Ref ref = adopt(id);
  if (ref.kind() != kind) throw TypeMismatch("the received handle is of another kind than expected");
  return ref;
}

Kind Ref::kind() const noexcept { return kind_of(Arena::get().object(index_)); }

std::size_t Ref::bytes() const noexcept { return value(Arena::get().object(index_).bytes); }

std::uint32_t Ref::use_count() const noexcept {
  return address_ != nullptr ? Arena::if_made()->counts[index_].load(std::memory_order_acquire) : 0;
}

void Ref::retain(std::uint32_t index) noexcept {
  Arena::if_made()->counts[index].fetch_add(1, std::memory_order_relaxed);
}

void Ref::drop(std::uint32_t index, std::uint32_t generation) noexcept {
  Arena& arena = *Arena::if_made();
  if (arena.counts[index].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (kind_of(arena.object(index)) == Kind::queue) forget_blocks(arena);
  const std::lock_guard gate(arena.gate);
  // Another thread may have taken hold again, or let go already: the count under the gate decides.
  if (arena.guest || arena.counts[index].load(std::memory_order_relaxed) != 0) return;
  if (value(arena.object(index).identity) >> 32 != generation) return;
  if (!let_go_of_lock(arena, index)) return;
  if (take_hold_away(arena, arena.self, index)) destroy(arena, index);
}

void release_all_of(Arena& arena, MemberId member) noexcept {
  const std::uint64_t end = value(arena.header().objects_end);
  for (std::uint32_t first = 0; first < end; first += 64) {
    while (const std::uint64_t bits = value(arena.holding_word(member, first))) {
      const auto index = first + static_cast<std::uint32_t>(__builtin_ctzll(bits));
      if (take_hold_away(arena, member, index)) destroy(arena, index);
    }
  }
}

void finish_limbo_of(Arena& arena, MemberId member) noexcept {
  finish_own_limbo(arena);
  {
    const Arena::Locked locked(arena);
    MemberSlot& dead = arena.member(member);
    if (value(dead.limbo) == 0) return;
    Transaction change(arena.header());
    change.set(arena.member(arena.self).limbo, value(dead.limbo));
    change.set(dead.limbo, 0);
    change.commit();
  }
  finish_own_limbo(arena);
}

void allocate_run(const Ref& owner, Word& where, std::size_t bytes) {
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  join_if_guest(arena);
  const Arena::Locked locked(arena);
  if (value(where) != 0) return;
  Transaction change(arena.header());
  const std::uint64_t run = arena.heap().allocate_run(change, bytes);
  arena.heap().link_run(change, arena.object(owner.index()).runs, run, owner.index());
  change.set(where, run);
  change.commit();
}

void replace_run(Word& where, std::uint64_t next) {
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  join_if_guest(arena);
  finish_own_limbo(arena);  // one run at a time: another thread may have left one there
  const Arena::Locked locked(arena);
  const std::uint64_t run = value(where);
  Heap heap = arena.heap();
  Transaction change(arena.header());
  change.set(where, next);
  if (run != 0) {
    heap.unlink_run(change, arena.object(heap.run_owner(run)).runs, run);
    change.set(arena.member(arena.self).limbo, run);
  }
  change.commit();
}

void finish_limbo() {
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  if (!arena.guest) finish_own_limbo(arena);
}

std::size_t run_bytes(std::uint64_t offset) { return Arena::get().heap().run_bytes(offset); }

std::vector<Ref> objects_of(Kind kind) {
  Arena& arena = Arena::get();
  std::vector<Ref> found;
  const std::uint64_t end = value(arena.header().objects_end);
  for (std::uint32_t index = 0; index < end; ++index) {
    const ObjectEntry& entry = arena.object(index);
    const std::uint64_t identity = value(entry.identity);
    if (!is(entry.state, ObjectState::alive) || kind_of(entry) != kind) continue;
    try {
      found.push_back(Ref::adopt(identity >> 32 << 32 | index));
    } catch (const Error&) {  // it has gone meanwhile
    }
  }
  return found;
}

void load_cargo(const Ref& carrier, std::span<const Ref> objects, std::uint32_t position) {
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  join_if_guest(arena);
  for (const Ref& object : objects) {
    const Arena::Locked locked(arena);
    Transaction change(arena.header());
    Word& head = arena.object(carrier.index()).cargo;
    ObjectEntry& entry = arena.object(object.index());
    const std::uint64_t offset = arena.heap().allocate_block(change, sizeof(CargoNode));
    auto& node = *static_cast<CargoNode*>(arena.at(offset, sizeof(CargoNode)));
    change.set(node.next, value(head));
    change.set(node.object, object.index());
    change.set(node.position, position);
    change.set(entry.pins, value(entry.pins) + 1);
    change.set(head, offset);
    change.commit();
  }
}

void drop_cargo(const Ref& carrier, std::uint32_t limit) noexcept {
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  join_if_guest(arena);
  std::vector<std::uint32_t> doomed;
  {
    const Arena::Locked locked(arena);
    Word* link = &arena.object(carrier.index()).cargo;
    while (value(*link) != 0) {
      auto& node = *static_cast<CargoNode*>(arena.at(value(*link), sizeof(CargoNode)));
      const auto ahead = static_cast<std::int32_t>(limit - static_cast<std::uint32_t>(value(node.position)));
      if (ahead <= 0) {
        link = &node.next;
        continue;
      }
      std::uint32_t object = 0;
      if (unload_node(arena, *link, object)) doomed.push_back(object);
    }
  }
  for (const std::uint32_t object : doomed) destroy(arena, object);
}

bool is_unshared(Arena& arena, const Ref& object, std::uint32_t refs) noexcept {
  return value(arena.object(object.index()).pins) == 0 && object.use_count() == refs &&
         !held_by_another(arena, arena.self, object.index());
}

}  // namespace multiprocessing::memory
