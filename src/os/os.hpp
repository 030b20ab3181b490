// The contract with the kernel: every system call that the layers above make for shared memory, waiting and
// processes goes through here, so that the testing build can make each of them fail (os/faults.hpp).
//
// Results: a count, a descriptor or 0; a failure is the negative errno.  Nothing here throws or allocates, and
// nothing repeats a call after EINTR unless it says so: callers wait in loops that look again.
#pragma once

#include <poll.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "multiprocessing/detail/deadline.hpp"

namespace multiprocessing::os {

using detail::Deadline;

// --- futex: shared between processes, absolute monotonic deadline ------------------------------------------------
// 0 woken, -EAGAIN word != expected, -ETIMEDOUT, -EINTR.
int futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, Deadline deadline) noexcept;
int futex_wake(std::atomic<std::uint32_t>& word, int waiters) noexcept;
struct FutexWait {
  std::atomic<std::uint32_t>* word;
  std::uint32_t expected;
};
inline constexpr std::size_t most_futexes = 128;
// Until one of them is woken or is not as expected: 0 or more; -ETIMEDOUT, -EINTR; -ENOSYS before Linux 5.16.
int futex_wait_any(std::span<const FutexWait> words, Deadline deadline) noexcept;

// --- memory -------------------------------------------------------------------------------------------------------
int memfd_create(const char* name) noexcept;                       // CLOEXEC, sealable
int set_size(int fd, std::uint64_t bytes) noexcept;                // -EFBIG instead of a deadly SIGXFSZ
int seal_size(int fd) noexcept;                                    // no shrinking, no growing, no more seals
int map_shared(int fd, std::size_t bytes, void** where) noexcept;  // guard page on either side, not in core dumps
int map_shared_file(int fd, std::size_t bytes, void** where) noexcept;  // sparse, without guard pages
int map_shared_anonymous(std::size_t bytes, void** where) noexcept;
int map_private_sparse(std::size_t bytes, void** where) noexcept;
void unmap(void* where, std::size_t bytes) noexcept;
void unmap_guarded(void* where, std::size_t bytes) noexcept;      // counterpart of map_shared
int discard(void* where, std::size_t bytes) noexcept;             // gives shared pages back; they read as zero
int populate(void* where, std::size_t bytes) noexcept;            // -ENOMEM now instead of SIGBUS later
void prefer_huge_pages(void* where, std::size_t bytes) noexcept;  // a hint; of private memory, too
std::uint64_t physical_memory() noexcept;
bool is_under_valgrind() noexcept;  // this program's instructions are interpreted by one of valgrind's tools
inline constexpr std::size_t page_bytes = 4096;

// --- processes ----------------------------------------------------------------------------------------------------
pid_t fork() noexcept;               // the C library's fork: raw clone leaves stale tids in robust locks
int pidfd_open(pid_t pid) noexcept;  // CLOEXEC
int pidfd_signal(int pidfd, int signal) noexcept;
struct Ending {        // how a process ended
  bool known = false;  // false: someone else reaped it
  int status = 0;      // exit code, or -N: killed by signal N
};
// 0 and `ending` filled when the child of this pidfd has ended and was reaped just now; -EAGAIN: it still runs;
// -ECHILD: someone else reaped it (or SIGCHLD is ignored).  Never blocks.
int reap(int pidfd, Ending& ending) noexcept;
int poll(std::span<pollfd> fds, Deadline deadline) noexcept;  // number ready; repeats after EINTR
// True when the process of this pidfd has ended (or does by then).  Repeats after EINTR.
bool wait_ended(int pidfd, Deadline deadline) noexcept;
int set_parent_death_signal(int signal) noexcept;  // follows the *thread* that forked: see process/
int set_subreaper() noexcept;                      // orphans below this process become its children
// Start time of a process in clock ticks since boot, its state letter in `state`; 0: no such process.
std::uint64_t start_ticks(pid_t pid, char* state = nullptr) noexcept;
// Bytes of anonymous memory that the process has, those still shared with a parent that forked it included; 0: gone.
std::uint64_t private_memory(pid_t pid) noexcept;
// Allocations of this process and what it starts fail once it has so many bytes more of private memory than now.
int limit_private_memory(std::uint64_t bytes) noexcept;
int set_affinity(int cpu) noexcept;       // the calling thread runs there only
std::uint64_t boot_ticks_now() noexcept;  // the same clock, now
int available_cpus() noexcept;            // affinity and cgroup quota, whichever is smaller; at least 1
int machine_cpus() noexcept;              // the same without this process's affinity

// --- waiting for many descriptors: epoll, level-triggered ------------------------------------------------------------
int epoll_create() noexcept;  // CLOEXEC
struct Readiness {
  std::uint64_t key = 0;
  bool readable = false;  // or ended, or failed
  bool writable = false;
};
// Whatever was said of `fd` before: from now on wait for this.  -ENOSPC, -ENOMEM, -EPERM (a regular file).
int epoll_set(int epoll, int fd, std::uint64_t key, bool for_reading, bool for_writing) noexcept;
int epoll_remove(int epoll, int fd) noexcept;  // before every close: a forked child may have it open
int epoll_wait(int epoll, std::span<Readiness> ready, Deadline deadline) noexcept;  // number ready; repeats after EINTR

// --- messages between related processes -----------------------------------------------------------------------------
int message_socketpair(int fds[2]) noexcept;                             // SOCK_SEQPACKET, CLOEXEC, non-blocking
int send_message(int fd, const void* data, std::size_t bytes) noexcept;  // whole or not; -EAGAIN; no SIGPIPE
int receive_message(int fd, void* data, std::size_t bytes) noexcept;     // 0: the other side is gone; -EAGAIN

// --- packets: messages with descriptors (packets.cpp) ---------------------------------------------------------------
inline constexpr std::size_t most_descriptors = 253;  // SCM_MAX_FD
// Whole or not; -EAGAIN, -EPIPE, -EMSGSIZE, -ETOOMANYREFS (too many descriptors on their way); never SIGPIPE.
int send_packet(int fd, std::span<const iovec> parts, std::span<const int> descriptors) noexcept;
struct PeekedPacket {
  std::size_t bytes = 0;          // its whole length, also when the buffer was shorter
  std::size_t descriptors = 0;    // new ones of this process, CLOEXEC, to be closed by the caller
  bool descriptors_lost = false;  // there are more of them than this process could take
};
// Copies the first packet and leaves it where it is.  -EAGAIN: none; -ECONNRESET, once: the other side is gone and had
// not read all.  A packet of 0 bytes: the other side is gone, or has sent nothing in a packet (is_hung_up() tells).
int peek_packet(int fd, std::span<std::byte> buffer, std::span<int, most_descriptors> descriptors,
                PeekedPacket& packet) noexcept;
int drop_packet(int fd) noexcept;  // takes the first packet away, with its descriptors; -EAGAIN: none
bool is_hung_up(int fd) noexcept;  // the other side is gone
// The socket's send buffer in bytes; -ENOTSOCK and the like where it is no socket for packets.
int packet_capacity(int fd) noexcept;

// --- descriptors ----------------------------------------------------------------------------------------------------
int duplicate(int fd) noexcept;  // CLOEXEC
int write_all(int fd, std::span<const std::byte> bytes,
              std::uint64_t offset) noexcept;  // -ENOSPC, -ENOMEM; never SIGBUS
int seal_content(int fd) noexcept;             // of a memfd: size and content are final
// The size of a memfd whose content is final and all there; -EINVAL for any other file.
int sealed_size(int fd, std::uint64_t& bytes) noexcept;
int map_sealed(int fd, std::size_t bytes, void** where) noexcept;  // to read; undone by unmap()
void read_ahead(void* where, std::size_t bytes) noexcept;          // maps the pages at once, where the kernel can
int eventfd(bool readable) noexcept;                               // CLOEXEC, non-blocking
int set_event(int fd, bool readable) noexcept;
// What tells a descriptor from one that took its number later: device and inode.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};
FileIdentity identity_of(int fd) noexcept;  // zeros: not open
int file_size(int fd, std::uint64_t& bytes) noexcept;

int random_bytes(std::span<std::byte> into) noexcept;  // repeats after EINTR

}  // namespace multiprocessing::os
