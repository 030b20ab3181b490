// Members: forking, joining, reaping.
//
//  died …                                         what the others see
//  maker, before the slot is `starting`           nothing
//  maker, slot `starting`, before or after fork   a slot whose maker is dead: collect_orphans() takes it; the child,
//                                                 if there is one, waits at its gate, sees its parent gone and ends
//  child, before the gate                         a dead child like any other: its guardian reaps it
//  who forks a newcomer for its maker,            its pid stands in the slot (`born`) before it runs, by the kernel's
//    before or after the fork                     hand: the maker goes on with it, or has it forked by another
//  anyone, in reap_member()                       a slot that is not free yet: reaped again from where it stood
#include "memory/family.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "memory/arena.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "os/programs.hpp"
#include "os/signals_blocked.hpp"
#include "sync/spin.hpp"

namespace multiprocessing::memory {
namespace {

constexpr std::uint32_t gate_open = 1;
constexpr std::uint32_t gate_abort = 2;
constexpr std::uint64_t nobody = ~std::uint64_t{0};

std::uint64_t value(const Word& word) { return word.load(std::memory_order_relaxed); }

bool is(const MemberSlot& slot, MemberState state) { return value(slot.state) == static_cast<std::uint64_t>(state); }

void set_state(Transaction& change, MemberSlot& slot, MemberState state) {
  change.set(slot.state, static_cast<std::uint64_t>(state));
}

std::uint64_t name_of(Arena& arena, MemberId id) {
  return std::uint64_t{id} << 32 | (value(arena.member(id).incarnation) & 0xffffffffU);
}

void collect_orphans_gated(Arena& arena) noexcept;

std::optional<MemberId> find_free_slot(Arena& arena) {
  const auto end = static_cast<MemberId>(value(arena.header().members_end));
  for (MemberId id = 0; id < end; ++id) {
    if (is(arena.member(id), MemberState::free)) return id;
  }
  if (end < arena.header().max_members) return end;
  return std::nullopt;
}

// A process, as nobody else can ever be named: pid and when it started, in clock ticks since boot.
struct Birth {
  pid_t pid;
  std::uint64_t from;
  std::uint64_t until;

  static Birth of_this_process() {
    const std::uint64_t born = os::start_ticks(::getpid());
    return {::getpid(), born, born != 0 ? born : os::boot_ticks_now()};
  }
};

void set_alive(Transaction& change, MemberSlot& slot, const Birth& birth) {
  change.set(slot.pid, static_cast<std::uint64_t>(birth.pid));
  change.set(slot.born_from, birth.from);
  change.set(slot.born_until, birth.until);
  set_state(change, slot, MemberState::alive);
}

// A slot that holds nothing; `alive` when its process is there already, else `starting`.  Gate held, arena not locked.
MemberId take_slot(Arena& arena, std::uint64_t maker, std::uint64_t guardian, const std::optional<Birth>& birth) {
  for (bool collected = false;; collected = true) {
    {
      const Arena::Locked locked(arena);
      if (const auto id = find_free_slot(arena)) {
        MemberSlot& slot = arena.member(*id);
        Transaction change(arena.header());
        if (*id >= value(arena.header().members_end)) change.set(arena.header().members_end, *id + 1);
        change.set(slot.incarnation, value(slot.incarnation) + 1);
        change.set(slot.pid, 0);
        change.set(slot.limbo, 0);
        change.set(slot.maker, maker);
        change.set(slot.guardian, guardian);
        slot.gate.store(0, std::memory_order_relaxed);
        slot.born.store(0, std::memory_order_relaxed);
        set_state(change, slot, MemberState::starting);
        if (birth) set_alive(change, slot, *birth);
        change.commit();
        return *id;
      }
    }
    if (collected) {
      throw Error("too many processes in this family (" + std::to_string(arena.header().max_members) + ")");
    }
    collect_orphans_gated(arena);
  }
}

// For whoever is about to read what a dead member has left: its last change may be half done, and its own holds may be
// among it.  Read before that is undone they are not there, and they come back in a slot that is free.
void undo_half_done(Arena& arena) noexcept { const Arena::Locked undone(arena); }

void give_slot_back(Arena& arena, MemberId id) noexcept {
  release_all_of(arena, id);
  finish_limbo_of(arena, id);
  const Arena::Locked locked(arena);
  Transaction change(arena.header());
  set_state(change, arena.member(id), MemberState::free);
  change.commit();
}

// The child will hold what we hold.  Gate held.
void copy_holds(Arena& arena, MemberId child) {
  const Arena::Locked locked(arena);
  const std::uint64_t end = value(arena.header().objects_end);
  for (std::uint32_t first = 0; first < end; first += 64) {
    arena.holding_word(child, first).store(value(arena.holding_word(arena.self, first)), std::memory_order_relaxed);
  }
}

void add_holds(Arena& arena, MemberId child, std::span<const Ref> handles) {
  const Arena::Locked locked(arena);
  for (const Ref& handle : handles) {
    Word& word = arena.holding_word(child, handle.index());
    word.store(value(word) | std::uint64_t{1} << handle.index() % 64, std::memory_order_relaxed);
  }
}

// A newcomer's slot may have been collected with its maker, and belong to another.
bool add_own_holds(Arena& arena, const Newcomer& to) {
  const Arena::Locked locked(arena);
  const MemberSlot& slot = arena.member(to.member);
  if (value(slot.incarnation) != to.incarnation || !is(slot, MemberState::starting)) return false;
  const std::uint64_t end = value(arena.header().objects_end);
  for (std::uint32_t first = 0; first < end; first += 64) {
    Word& word = arena.holding_word(to.member, first);
    word.store(value(word) | value(arena.holding_word(arena.self, first)), std::memory_order_relaxed);
  }
  return true;
}

void record(Arena& arena, MemberId id, const Birth& birth) {
  const Arena::Locked locked(arena);
  Transaction change(arena.header());
  set_alive(change, arena.member(id), birth);
  change.commit();
}

// (pid, start time), never a bare pid: that may be a stranger's by now.
bool is_running(const MemberSlot& slot) {
  const auto pid = static_cast<pid_t>(value(slot.pid));
  char state = 0;
  const std::uint64_t start = os::start_ticks(pid, &state);
  // No descriptor left, or no /proc: better to keep a dead one's memory than to take a living one's.
  if (start == 0) return ::kill(pid, 0) == 0 || errno != ESRCH;
  constexpr std::uint64_t rounding = 1;  // of clock ticks
  return state != 'Z' && state != 'X' && start + rounding >= value(slot.born_from) &&
         start <= value(slot.born_until) + rounding;
}

bool is_gone(Arena& arena, std::uint64_t name) {
  if (name == nobody) return true;
  const auto id = static_cast<MemberId>(name >> 32);
  if (name_of(arena, id) != name || is(arena.member(id), MemberState::free)) return true;
  return is(arena.member(id), MemberState::alive) && !is_running(arena.member(id));
}

bool is_orphan(Arena& arena, MemberId id) {
  const MemberSlot& slot = arena.member(id);
  if (id == arena.self || is(slot, MemberState::free)) return false;
  if (is(slot, MemberState::starting)) return is_gone(arena, value(slot.maker));
  return is_gone(arena, value(slot.guardian)) && !is_running(slot);
}

// The child's side: on until the parent has our pidfd.
// When the parent has died the slot may have been collected and given to another child, whose gate opens: the
// incarnation tells.
void wait_at_gate(MemberSlot& slot, std::uint64_t incarnation, pid_t parent) {
  const auto open = [&slot] { return slot.gate.load(std::memory_order_acquire) != 0; };
  if (!open()) {
    for (sync::Spin spin; spin.again() && !open();) {
    }
  }
  while (!open()) {
    if (::getppid() != parent && !open()) ::_exit(127);  // it died in the middle of start(), and not right after it
    os::futex_wait(slot.gate, 0, os::Deadline::after(std::chrono::milliseconds(100)));
  }
  if (slot.gate.load(std::memory_order_acquire) == gate_abort) ::_exit(127);
  if (value(slot.incarnation) != incarnation) ::_exit(127);
}

void open_gate(MemberSlot& slot, std::uint32_t how) {
  slot.gate.store(how, std::memory_order_release);
  os::futex_wake(slot.gate, 1);
}

// Several members may see the same orphan: the one that becomes its guardian reaps it.  Without this a slow one would
// clear the slot of whoever got it next.
bool adopt_orphan(Arena& arena, MemberId id) {
  const Arena::Locked locked(arena);
  if (!is_orphan(arena, id)) return false;
  MemberSlot& slot = arena.member(id);
  Transaction change(arena.header());
  change.set(slot.maker, name_of(arena, arena.self));
  change.set(slot.guardian, name_of(arena, arena.self));
  change.commit();
  return true;
}

void collect_orphans_gated(Arena& arena) noexcept {
  const auto end = static_cast<MemberId>(value(arena.header().members_end));
  for (MemberId id = 0; id < end; ++id) {
    if (!is_orphan(arena, id)) continue;
    MULTIPROCESSING_STEP("member.orphan_seen");
    if (adopt_orphan(arena, id)) give_slot_back(arena, id);
  }
}

}  // namespace

// A guest copied its handles from a process that may let go of them at any time: what is still there is held from
// now on in its own name.
void join_if_guest(Arena& arena) {
  if (!arena.guest) return;
  const MemberId id = take_slot(arena, nobody, nobody, Birth::of_this_process());
  arena.self = id;
  arena.guest = false;
  const Arena::Locked locked(arena);
  const std::uint64_t end = value(arena.header().objects_end);
  for (std::uint32_t index = 0; index < end; ++index) {
    if (arena.counts[index].load(std::memory_order_relaxed) == 0) continue;
    if (value(arena.object(index).state) != static_cast<std::uint64_t>(ObjectState::alive)) continue;
    Word& word = arena.holding_word(id, index);
    word.store(value(word) | std::uint64_t{1} << index % 64, std::memory_order_relaxed);
  }
}

namespace {

// The parent's side of a start whose process is there.  Gate held.
Forked admit(Arena& arena, MemberId id, const Birth& birth) {
  MemberSlot& slot = arena.member(id);
  MULTIPROCESSING_STEP("member.forked");
  record(arena, id, birth);
  const int pidfd = os::above_standard(os::pidfd_open(birth.pid));
  if (pidfd < 0) {
    open_gate(slot, gate_abort);
    while (::waitpid(birth.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    give_slot_back(arena, id);
    base::throw_os_error("pidfd_open", "", -pidfd);
  }
  MULTIPROCESSING_STEP("member.before_gate");
  open_gate(slot, gate_open);
  return Forked{birth.pid, id, base::Fd(pidfd)};
}

}  // namespace

Forked fork_member() { return fork_member(self()); }

Forked fork_member(MemberId guardian) {
  Arena& arena = Arena::get();
  forget_blocks(arena);
  const std::lock_guard gate(arena.gate);
  join_if_guest(arena);
  const MemberId id = take_slot(arena, name_of(arena, arena.self), name_of(arena, guardian), std::nullopt);
  copy_holds(arena, id);
  MULTIPROCESSING_STEP("member.slot_taken");
  MemberSlot& slot = arena.member(id);
  const std::uint64_t incarnation = value(slot.incarnation);
  const pid_t parent = ::getpid();

  const os::SignalsBlocked blocked;  // a handler that ran in the half-made child would act as its parent
  arena.forking = true;
  const std::uint64_t born_from = os::boot_ticks_now();
  const pid_t pid = os::fork();
  arena.forking = false;
  if (pid == 0) {
    MULTIPROCESSING_STEP("member.child_forked");
    arena.self = id;
    wait_at_gate(slot, incarnation, parent);
    return Forked{0, id, base::Fd()};
  }
  if (pid < 0) {
    give_slot_back(arena, id);
    base::throw_os_error("fork", "", -pid);
  }
  return admit(arena, id, {pid, born_from, os::boot_ticks_now()});
}

// The gate is not held while the process is made: that may take long, and no copy of this process comes of it.
Forked start_member(std::span<const Ref> handles, Maker& maker) {
  Arena& arena = Arena::get();
  Newcomer newcomer;
  {
    const std::lock_guard gate(arena.gate);
    join_if_guest(arena);
    const std::uint64_t me = name_of(arena, arena.self);
    newcomer.member = take_slot(arena, me, me, std::nullopt);
    newcomer.incarnation = value(arena.member(newcomer.member).incarnation);
    add_holds(arena, newcomer.member, handles);
  }
  MULTIPROCESSING_STEP("member.slot_taken");
  const std::uint64_t born_from = os::boot_ticks_now();
  pid_t pid = 0;
  try {
    pid = maker.make(newcomer);
  } catch (...) {
    const std::lock_guard gate(arena.gate);
    give_slot_back(arena, newcomer.member);
    throw;
  }
  const std::lock_guard gate(arena.gate);
  return admit(arena, newcomer.member, {pid, born_from, os::boot_ticks_now()});
}

int descriptor() { return Arena::get().descriptor(); }

void join_family(base::Fd memory, const Newcomer& newcomer) { Arena::attach(std::move(memory), newcomer.member); }

void enter_family(const Newcomer& newcomer, pid_t parent) noexcept {
  wait_at_gate(Arena::get().member(newcomer.member), newcomer.incarnation, parent);
}

pid_t fork_newcomer(const Newcomer& newcomer) noexcept {
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  if (!add_own_holds(arena, newcomer)) return -ECANCELED;
  MULTIPROCESSING_STEP("member.newcomer_holds");
  arena.forking = true;
  const pid_t pid = os::fork_sibling(arena.member(newcomer.member).born);
  arena.forking = false;
  if (pid == 0) {
    MULTIPROCESSING_STEP("member.child_forked");
    arena.self = newcomer.member;
  } else {
    MULTIPROCESSING_STEP("member.newcomer_forked");
  }
  return pid;
}

pid_t born(const Newcomer& newcomer) noexcept {
  return static_cast<pid_t>(Arena::get().member(newcomer.member).born.load(std::memory_order_acquire));
}

void reap_member(MemberId member) noexcept {
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  if (arena.guest) return;
  undo_half_done(arena);
  if (is(arena.member(member), MemberState::free)) return;
  give_slot_back(arena, member);
}

void reap_made_by(MemberId maker) noexcept {
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  if (arena.guest) return;
  undo_half_done(arena);
  const std::uint64_t name = name_of(arena, maker);
  const auto end = static_cast<MemberId>(value(arena.header().members_end));
  for (MemberId id = 0; id < end; ++id) {
    const MemberSlot& slot = arena.member(id);
    if (is(slot, MemberState::free) || value(slot.maker) != name) continue;
    if (is(slot, MemberState::starting) || !is_running(slot)) give_slot_back(arena, id);
  }
}

void collect_orphans() noexcept {
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  if (!arena.guest) collect_orphans_gated(arena);
}

MemberId self() {
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  join_if_guest(arena);
  return arena.self;
}

std::uint64_t self_name() {
  Arena& arena = Arena::get();
  const std::lock_guard gate(arena.gate);
  join_if_guest(arena);
  return name_of(arena, arena.self);
}

bool was_reaped(std::uint64_t name) noexcept {
  Arena& arena = Arena::get();
  const auto id = static_cast<MemberId>(name >> 32);
  return name_of(arena, id) != name || is(arena.member(id), MemberState::free);
}

bool is_gone(std::uint64_t name) noexcept { return is_gone(Arena::get(), name); }

pid_t family_root() { return static_cast<pid_t>(Arena::get().header().root_pid); }

Stats stats() {
  Arena& arena = Arena::get();
  const Arena::Locked locked(arena);
  Stats result;
  const auto end = static_cast<MemberId>(value(arena.header().members_end));
  for (MemberId id = 0; id < end; ++id) result.members += !is(arena.member(id), MemberState::free);
  result.objects = value(arena.header().objects_alive);
  result.heap_bytes = value(arena.header().heap_used);
  return result;
}

}  // namespace multiprocessing::memory
