// The process family: who is in it, and what each member holds.
//
// A program and every process it starts through this library are one family with one arena (memory/arena.hpp).  Each
// member owns a slot; a bitmap per slot says which objects that member holds.  Nothing else is stored about
// liveness: an object is alive while a bit of a living member, or a pin of a message on its way, names it.  So a
// death is undone by clearing one bitmap, and that can be repeated from anywhere it was cut short.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/fd.hpp"
#include "multiprocessing/detail/ref.hpp"

namespace multiprocessing::memory {

using MemberId = std::uint32_t;

struct Forked {
  pid_t pid = 0;        // 0 in the child
  MemberId member = 0;  // the child's slot, on both sides
  base::Fd pidfd;       // in the parent: polls readable once the child has ended
};

// The one way in which this library forks itself.  The child holds what the calling process holds, and returns from here
// only when the parent has the child's pidfd: nobody who reaps with waitpid(-1) can come between.  A child whose
// parent dies before that ends at once.  `guardian`: whose duty it is to call reap_member() after the child's death;
// by default the caller's.
// Throws OsError; nothing is half-made then.
Forked fork_member();
Forked fork_member(MemberId guardian);

// A member that begins elsewhere than in fork_member(), as this member's child all the same: as a program that is
// executed, or as a copy of such a one (fork_newcomer).  This is how it is named to it.
struct Newcomer {
  MemberId member = 0;
  std::uint64_t incarnation = 0;
};

// What makes the process: gives its pid, or throws, and then there is none.
class Maker {
 public:
  virtual pid_t make(const Newcomer& newcomer) = 0;

 protected:
  ~Maker() = default;
};

// The newcomer holds `handles` from the beginning.  It comes past its gate (enter_family) only when this process has its
// pidfd, as in fork_member().  Throws what `maker` throws, and OsError; nothing is half-made then.
Forked start_member(std::span<const Ref> handles, Maker& maker);

// The file that the arena lies in, to be handed to a newcomer.  Throws OsError when the program has closed it.
[[nodiscard]] int descriptor();

// --- in the newcomer
// A program that was executed as one, before anything else: its memory is that of the family.
void join_family(base::Fd memory, const Newcomer& newcomer);
// Waits until `parent` has our pidfd; ends the process when that one is gone and never had it.
void enter_family(const Newcomer& newcomer, pid_t parent) noexcept;
// A copy of this process as `newcomer`, whose parent is ours.  As fork_member(), it holds what this process holds.  0 in
// the copy, which has still to enter_family(); else a pid or the negative errno.
pid_t fork_newcomer(const Newcomer& newcomer) noexcept;
// Who was forked as `newcomer` by a process that has died since; 0: nobody, and nobody will be.
[[nodiscard]] pid_t born(const Newcomer& newcomer) noexcept;

// A member has died and was reaped: gives back its slot and all it held.  Called by its guardian.  Idempotent for
// one (slot, incarnation): fork_member() never hands out a slot that is not reaped.
void reap_member(MemberId member) noexcept;

// The maker has died and was not reaped yet: reaps what it had forked for us to look after and never told us of.
void reap_made_by(MemberId maker) noexcept;

// Reaps members whose guardians are dead too.  Runs by itself when slots run short.
void collect_orphans() noexcept;

[[nodiscard]] MemberId self();      // this process's slot; makes the arena on first use
// Names that are never used again, for notes about who did what: slot and incarnation.
[[nodiscard]] std::uint64_t self_name();
[[nodiscard]] bool was_reaped(std::uint64_t name) noexcept;  // cheap; a dead member may be unreaped for long
[[nodiscard]] bool is_gone(std::uint64_t name) noexcept;     // looks into /proc where it must

[[nodiscard]] pid_t family_root();  // pid of the member that made the arena

struct Stats {                 // a snapshot for tests and reports
  std::size_t members = 0;     // slots in use
  std::size_t objects = 0;     // objects alive
  std::size_t heap_bytes = 0;  // bytes of heap in use by objects and their blocks
};
[[nodiscard]] Stats stats();

}  // namespace multiprocessing::memory
