#include "os/os.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "os/faults.hpp"

// Debian 12's headers are older than the kernels this runs on.
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449  // the same on every architecture
#endif
#ifndef FUTEX_32
#define FUTEX_32 2
struct futex_waitv {
  __u64 val;
  __u64 uaddr;
  __u32 flags;
  __u32 __reserved;
};
#endif

namespace multiprocessing::os {
namespace {

int result(long value) noexcept { return value < 0 ? -errno : static_cast<int>(value); }

// An absolute time for the kernel; null when there is none.
struct AbsoluteTime {
  explicit AbsoluteTime(Deadline deadline) noexcept : never(deadline.is_never()) {
    auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.when().time_since_epoch()).count();
    ns = std::max<decltype(ns)>(ns, 0);  // the kernel refuses times before boot
    time = {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  }
  [[nodiscard]] const timespec* get() const noexcept { return never ? nullptr : &time; }
  bool never;
  timespec time{};
};

// Reads a small file of /proc or /sys without allocating.  Returns bytes read, 0 when it is not there.
std::size_t read_small_file(const char* path, char* buffer, std::size_t bytes) noexcept {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t n = 0;
  do {
    n = ::read(fd, buffer, bytes - 1);
  } while (n < 0 && errno == EINTR);
  ::close(fd);
  const std::size_t length = n > 0 ? static_cast<std::size_t>(n) : 0;
  buffer[length] = '\0';
  return length;
}

// CPUs worth of time that a cgroup file grants, rounded up; a large number when it sets no limit.
int cgroup_cpus() noexcept {
  constexpr int unlimited = 1 << 20;
  char text[128];
  long long quota = -1;
  long long period = 0;
  if (read_small_file("/sys/fs/cgroup/cpu.max", text, sizeof text) != 0) {
    if (std::sscanf(text, "%lld %lld", &quota, &period) != 2) return unlimited;  // "max 100000"
  } else if (read_small_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", text, sizeof text) != 0) {
    quota = std::atoll(text);
    if (read_small_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", text, sizeof text) != 0) period = std::atoll(text);
  }
  if (quota <= 0 || period <= 0) return unlimited;
  return static_cast<int>(std::min<long long>((quota + period - 1) / period, unlimited));
}

}  // namespace

int futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, Deadline deadline) noexcept {
  if (const int error = injected(Call::futex_wait)) return -error;
  const AbsoluteTime until(deadline);
  // FUTEX_WAIT_BITSET takes an absolute time; without FUTEX_PRIVATE_FLAG it works across processes.
  return result(::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, until.get(), nullptr, FUTEX_BITSET_MATCH_ANY));
}

int futex_wake(std::atomic<std::uint32_t>& word, int waiters) noexcept {
  return result(::syscall(SYS_futex, &word, FUTEX_WAKE, waiters, nullptr, nullptr, 0));
}

int futex_wait_any(std::span<const FutexWait> words, Deadline deadline) noexcept {
  if (const int error = injected(Call::futex_wait_any)) return -error;
  if (words.size() > most_futexes) return -EINVAL;
  futex_waitv waits[most_futexes] = {};
  for (std::size_t i = 0; i < words.size(); ++i) {
    waits[i].val = words[i].expected;
    waits[i].uaddr = reinterpret_cast<std::uintptr_t>(words[i].word);
    waits[i].flags = FUTEX_32;  // without FUTEX_PRIVATE_FLAG: across processes
  }
  const AbsoluteTime until(deadline);
  return result(::syscall(SYS_futex_waitv, waits, words.size(), 0, until.get(), CLOCK_MONOTONIC));
}

int memfd_create(const char* name) noexcept {
  if (const int error = injected(Call::memfd_create)) return -error;
  return result(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

int set_size(int fd, std::uint64_t bytes) noexcept {
  if (const int error = injected(Call::ftruncate)) return -error;
  // Past RLIMIT_FSIZE the kernel sends SIGXFSZ, whose default action kills: block it, take it back, keep EFBIG.
  sigset_t size_signal;
  sigset_t before;
  sigemptyset(&size_signal);
  sigaddset(&size_signal, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &size_signal, &before);
  const int outcome = result(::ftruncate(fd, static_cast<off_t>(bytes)));
  if (outcome == -EFBIG && !sigismember(&before, SIGXFSZ)) {
    const timespec at_once{};
    while (sigtimedwait(&size_signal, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return outcome;
}

int seal_size(int fd) noexcept { return result(::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)); }

int map_shared(int fd, std::size_t bytes, void** where) noexcept {
  if (const int error = injected(Call::mmap)) return -error;
  void* area = ::mmap(nullptr, bytes + 2 * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) return -errno;
  void* inner = static_cast<char*>(area) + page_bytes;
  if (::mmap(inner, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED) {
    const int error = errno;
    ::munmap(area, bytes + 2 * page_bytes);
    return -error;
  }
  ::madvise(inner, bytes, MADV_DONTDUMP);
  *where = inner;
  return 0;
}

int map_shared_file(int fd, std::size_t bytes, void** where) noexcept {
  if (const int error = injected(Call::mmap)) return -error;
  void* area = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (area == MAP_FAILED) return -errno;
  *where = area;
  return 0;
}

int map_shared_anonymous(std::size_t bytes, void** where) noexcept {
  if (const int error = injected(Call::mmap)) return -error;
  void* area = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) return -errno;
  *where = area;
  return 0;
}

int map_private_sparse(std::size_t bytes, void** where) noexcept {
  if (const int error = injected(Call::mmap)) return -error;
  void* area = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) return -errno;
  *where = area;
  return 0;
}

void unmap(void* where, std::size_t bytes) noexcept { ::munmap(where, bytes); }

void unmap_guarded(void* where, std::size_t bytes) noexcept {
  ::munmap(static_cast<char*>(where) - page_bytes, bytes + 2 * page_bytes);
}

int discard(void* where, std::size_t bytes) noexcept {
  if (const int error = injected(Call::madvise)) return -error;
  // MADV_REMOVE needs no descriptor: it works in programs that have closed all of theirs.
  return result(::madvise(where, bytes, MADV_REMOVE));
}

int populate(void* where, std::size_t bytes) noexcept {
  if (const int error = injected(Call::madvise)) return -error;
  int outcome = 0;
  do {
    outcome = result(::madvise(where, bytes, MADV_POPULATE_WRITE));
  } while (outcome == -EINTR || outcome == -EAGAIN);
  if (outcome == -EINVAL) return 0;  // kernels before 5.14: the pages come when they are touched
  return outcome == -EFAULT ? -ENOMEM : outcome;
}

void prefer_huge_pages(void* where, std::size_t bytes) noexcept {
  constexpr std::uintptr_t huge = std::uintptr_t{2} << 20;  // where they are larger, the kernel rounds
  const auto begin = (reinterpret_cast<std::uintptr_t>(where) + huge - 1) & ~(huge - 1);
  const auto end = (reinterpret_cast<std::uintptr_t>(where) + bytes) & ~(huge - 1);
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

std::uint64_t physical_memory() noexcept {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  return pages > 0 ? static_cast<std::uint64_t>(pages) * page_bytes : 0;
}

// Its tools come into the program by this variable, which it takes away again from programs that it lets run natively.
bool is_under_valgrind() noexcept {
  const char* const preloaded = std::getenv("LD_PRELOAD");
  return preloaded != nullptr && std::strstr(preloaded, "/vgpreload_") != nullptr;
}

pid_t fork() noexcept {
  if (const int error = injected(Call::fork)) return -error;
  return result(::fork());
}

int pidfd_open(pid_t pid) noexcept {
  if (const int error = injected(Call::pidfd_open)) return -error;
  return result(::syscall(SYS_pidfd_open, pid, 0));
}

int pidfd_signal(int pidfd, int signal) noexcept {
  return result(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

int reap(int pidfd, Ending& ending) noexcept {
  if (const int error = injected(Call::waitid)) return -error;
  siginfo_t info{};
  int outcome = 0;
  do {
    outcome = result(::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG));
  } while (outcome == -EINTR);
  if (outcome < 0) return outcome;
  if (info.si_pid == 0) return -EAGAIN;
  ending.known = true;
  ending.status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  return 0;
}

int poll(std::span<pollfd> fds, Deadline deadline) noexcept {
  if (const int error = injected(Call::poll)) return -error;
  for (;;) {
    timespec left{};
    if (!deadline.is_never()) {
      const auto now = Deadline::Clock::now();  // compared first: Deadline::passed() is too far back to subtract from
      const std::chrono::nanoseconds wait = deadline.when() > now ? deadline.when() - now : std::chrono::nanoseconds(0);
      left = {static_cast<time_t>(wait.count() / 1'000'000'000), static_cast<long>(wait.count() % 1'000'000'000)};
    }
    const int outcome = result(::ppoll(fds.data(), fds.size(), deadline.is_never() ? nullptr : &left, nullptr));
    if (outcome != -EINTR) return outcome;
  }
}

bool wait_ended(int pidfd, Deadline deadline) noexcept {
  pollfd end{pidfd, POLLIN, 0};
  return poll({&end, 1}, deadline) > 0;
}

// Not by the C library's prctl: the first call of a function, in a child, is a search through all shared libraries,
// and its page faults are a tenth of the whole cost of a short-lived child.  `syscall` was called before the fork.
int set_parent_death_signal(int signal) noexcept {
  return result(::syscall(SYS_prctl, PR_SET_PDEATHSIG, static_cast<unsigned long>(signal), 0UL, 0UL, 0UL));
}

int set_subreaper() noexcept { return result(::syscall(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL)); }

std::uint64_t start_ticks(pid_t pid, char* state) noexcept {
  char path[64];
  char text[1024];
  std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
  if (read_small_file(path, text, sizeof text) == 0) return 0;
  const char* field = std::strrchr(text, ')');  // the name before it may hold anything
  if (field == nullptr || field[1] == '\0') return 0;
  field += 2;
  if (state != nullptr) *state = *field;
  for (int i = 3; i < 22 && field != nullptr; ++i) {  // proc(5): starttime is field 22, the state field 3
    field = std::strchr(field, ' ');
    if (field != nullptr) ++field;
  }
  return field != nullptr ? std::strtoull(field, nullptr, 10) : 0;
}

// proc(5): statm counts pages; resident, shared (with files and other processes' mappings), …, data and stack.
struct Statm {
  unsigned long long resident = 0;
  unsigned long long shared = 0;
  unsigned long long data = 0;
};

bool read_statm(pid_t pid, Statm& statm) noexcept {
  char path[64];
  char text[256];
  std::snprintf(path, sizeof path, "/proc/%d/statm", static_cast<int>(pid));
  return read_small_file(path, text, sizeof text) != 0 &&
         std::sscanf(text, "%*s %llu %llu %*s %*s %llu", &statm.resident, &statm.shared, &statm.data) == 3;
}

std::uint64_t private_memory(pid_t pid) noexcept {
  Statm statm;
  return read_statm(pid, statm) && statm.resident > statm.shared ? (statm.resident - statm.shared) * page_bytes : 0;
}

// What RLIMIT_DATA counts is the `data` of statm: private writable mappings, touched or not.
int limit_private_memory(std::uint64_t bytes) noexcept {
  Statm statm;
  if (!read_statm(::getpid(), statm)) return -ENOENT;
  rlimit limit{};
  if (::getrlimit(RLIMIT_DATA, &limit) != 0) return -errno;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, statm.data * page_bytes + bytes);
  limit.rlim_max = limit.rlim_cur;
  return result(::setrlimit(RLIMIT_DATA, &limit));
}

int set_affinity(int cpu) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  return result(::sched_setaffinity(0, sizeof set, &set));
}

std::uint64_t boot_ticks_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return static_cast<std::uint64_t>(now.tv_sec) * per_second +
         static_cast<std::uint64_t>(now.tv_nsec) * per_second / 1'000'000'000U;
}

int available_cpus() noexcept {
  cpu_set_t set;
  int affinity = 1;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) affinity = CPU_COUNT(&set);
  return std::max(1, std::min(affinity, cgroup_cpus()));
}

int machine_cpus() noexcept {
  return std::max(1, std::min(static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)), cgroup_cpus()));
}

int message_socketpair(int fds[2]) noexcept {
  if (const int error = injected(Call::socketpair)) return -error;
  return result(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
}

int send_message(int fd, const void* data, std::size_t bytes) noexcept {
  if (const int error = injected(Call::send)) return -error;
  return result(::send(fd, data, bytes, MSG_NOSIGNAL));
}

int receive_message(int fd, void* data, std::size_t bytes) noexcept {
  if (const int error = injected(Call::receive)) return -error;
  return result(::recv(fd, data, bytes, 0));
}

int random_bytes(std::span<std::byte> into) noexcept {
  while (!into.empty()) {
    const ssize_t got = ::getrandom(into.data(), into.size(), 0);
    if (got < 0 && errno != EINTR) return -errno;
    if (got > 0) into = into.subspan(static_cast<std::size_t>(got));
  }
  return 0;
}

}  // namespace multiprocessing::os
