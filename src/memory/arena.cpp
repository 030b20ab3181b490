#include "memory/arena.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "os/os.hpp"
#include "os/programs.hpp"
#include "sync/spin.hpp"

namespace multiprocessing::memory {
namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;
constexpr std::uint64_t gib = std::uint64_t{1} << 30;
constexpr std::uint64_t smallest_arena = 32 * mib;
constexpr std::uint64_t arena_under_valgrind = 256 * mib;

std::mutex making;

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }

// Virtual size.  Never more can be in use than memory and swap hold; the rest is room for fragmentation.
// Memcheck reads all that is mapped when it looks for leaks: with holes of this size that would take all memory.
std::uint64_t wanted_bytes() {
  if (os::is_under_valgrind()) return arena_under_valgrind;
  return round_up(std::clamp(4 * os::physical_memory(), 64 * gib, 16 * 1024 * gib), page_bytes);
}

// In a child of a raw fork(): the inherited gate may be held by a thread that does not exist here.
void after_raw_fork() {
  Arena* arena = Arena::if_made();
  if (Arena::forking) return;
  new (&making) std::mutex;
  if (arena == nullptr) return;
  new (&arena->gate) std::mutex;
  arena->guest = true;
}

}  // namespace

thread_local bool Arena::forking = false;

Arena& Arena::make() {
  std::lock_guard lock(making);
  if (Arena* made = if_made()) return *made;
  auto* arena = new Arena;  // never deleted: invariant 1
  the_arena.store(arena, std::memory_order_release);
  return *arena;
}

void Arena::attach(base::Fd memory, MemberId self) {
  the_arena.store(new Arena(std::move(memory), self), std::memory_order_release);
}

void Arena::make_counts() {
  void* area = nullptr;
  if (const int error = os::map_private_sparse(header_->max_objects * sizeof(std::uint32_t), &area); error < 0) {
    os::unmap_guarded(header_, header_->bytes);
    ::close(memory_);
    base::throw_os_error("map", "handle counts", -error);
  }
  counts = static_cast<std::atomic<std::uint32_t>*>(area);
}

void Arena::keep(base::Fd memory) noexcept {
  memory_ = memory.release();
  memory_identity_ = os::identity_of(memory_);
}

int Arena::descriptor() const {
  if (!(os::identity_of(memory_) == memory_identity_)) {
    base::throw_os_error(
        "pass on",
        "the shared memory: this program has closed its descriptor.  Close only those that the program "
        "has opened, or all of them before it first uses this library; or start by "
        "mp::StartMethod::fork, which needs none",
        EBADF);
  }
  return memory_;
}

Arena::Arena(base::Fd memory, MemberId member) : self(member) {
  std::uint64_t bytes = 0;
  void* where = nullptr;
  int error = os::file_size(memory.get(), bytes);
  if (error >= 0 && bytes < sizeof(ArenaHeader)) error = -EINVAL;
  if (error >= 0) error = os::map_shared(memory.get(), bytes, &where);
  if (error < 0) base::throw_os_error("map", "arena of the process family", -error);
  header_ = static_cast<ArenaHeader*>(where);
  if (header_->magic != arena_magic || header_->bytes != bytes || member >= header_->max_members) {
    os::unmap_guarded(where, bytes);
    throw Error("this program was started with a memory that is no arena of this library");
  }
  keep(std::move(memory));
  make_counts();
  static_cast<void>(sync::is_spinning_useful());
  pthread_atfork(nullptr, nullptr, after_raw_fork);
}

Arena::Arena() {
  map();
  make_counts();
  heap().format();
  static_cast<void>(sync::is_spinning_useful());  // reads files: once here, not in every child

  const pid_t pid = ::getpid();
  header_->root_pid = static_cast<std::uint64_t>(pid);
  header_->members_end.store(1);
  MemberSlot& root = member(0);
  root.incarnation.store(1);
  root.pid.store(header_->root_pid);
  const std::uint64_t born = os::start_ticks(pid);
  root.born_from.store(born);
  root.born_until.store(born != 0 ? born : os::boot_ticks_now());
  root.state.store(static_cast<std::uint64_t>(MemberState::alive));
  pthread_atfork(nullptr, nullptr, after_raw_fork);
}

// A smaller reservation under RLIMIT_AS or a strict overcommit policy, down to one that is still useful.
void Arena::map() {
  const int raw = os::above_standard(os::memfd_create("multiprocessing-arena"));
  if (raw < 0) base::throw_os_error("memfd_create", "arena", -raw);
  base::Fd fd(raw);
  int error = 0;
  for (std::uint64_t bytes = wanted_bytes(); bytes >= smallest_arena; bytes = round_up(bytes / 2, page_bytes)) {
    error = os::set_size(fd.get(), bytes);
    if (error < 0) continue;
    void* where = nullptr;
    error = os::map_shared(fd.get(), bytes, &where);
    if (error < 0) continue;
    header_ = new (where) ArenaHeader;
    // Nobody can truncate the memory under our feet (SIGBUS) any more.
    if (const int unsealed = os::seal_size(fd.get()); unsealed < 0) error = unsealed;
    if (error >= 0) {
      lay_out(bytes);
      keep(std::move(fd));
      return;
    }
    os::unmap_guarded(where, bytes);
    break;
  }
  base::throw_os_error("reserve address space for", "arena (at least 32 MiB: see `ulimit -v`, `ulimit -f`)", -error);
}

void Arena::lay_out(std::uint64_t bytes) {
  ArenaHeader& h = *header_;
  h.magic = arena_magic;
  h.bytes = bytes;
  h.max_objects = std::clamp<std::uint64_t>(bytes / (64 * 1024), 1024, mib) / 64 * 64;
  h.max_members = std::clamp<std::uint64_t>(h.max_objects / 16, 64, 4096);
  h.members_at = round_up(sizeof(ArenaHeader), page_bytes);
  h.holdings_at = round_up(h.members_at + h.max_members * sizeof(MemberSlot), page_bytes);
  h.objects_at = round_up(h.holdings_at + h.max_members * (h.max_objects / 8), page_bytes);
  h.pages_at = round_up(h.objects_at + h.max_objects * sizeof(ObjectEntry), page_bytes);
  h.heap_pages = (bytes - h.pages_at - page_bytes) / (page_bytes + sizeof(PageInfo));
  h.heap_at = round_up(h.pages_at + h.heap_pages * sizeof(PageInfo), page_bytes);
}

Arena::Locked::Locked(Arena& arena) noexcept : arena_(arena) {
  // Whoever takes the lock undoes what a dead holder had begun; looking costs a load of a line we need anyway.
  arena.header_->lock.acquire();
  Transaction::recover(*arena.header_);
}

MemberSlot& Arena::member(MemberId id) noexcept {
  return reinterpret_cast<MemberSlot*>(reinterpret_cast<char*>(header_) + header_->members_at)[id];
}

Word& Arena::holding_word(MemberId id, std::uint32_t object_index) noexcept {
  auto* words = reinterpret_cast<Word*>(reinterpret_cast<char*>(header_) + header_->holdings_at);
  return words[id * (header_->max_objects / 64) + object_index / 64];
}

std::uint64_t Arena::offset_of(const void* address) const noexcept {
  return static_cast<std::uint64_t>(static_cast<const char*>(address) - reinterpret_cast<const char*>(header_));
}

void Arena::throw_outside(std::uint64_t offset, std::size_t bytes) {
  throw Error("shared memory is damaged: " + std::to_string(bytes) + " bytes at offset " + std::to_string(offset) +
              " are outside of the heap");
}

}  // namespace multiprocessing::memory
