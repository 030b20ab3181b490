#include "os/programs.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "os/faults.hpp"

namespace multiprocessing::os {
namespace {

struct Handlers {
  void (*prepare)();
  void (*parent)();
  void (*child)();
};

// Filled before main by one thread.
constinit std::array<Handlers, 16> handlers{};
constinit std::size_t handler_count = 0;

void run(void (*Handlers::*which)()) {
  for (std::size_t i = 0; i < handler_count; ++i) {
    if (handlers[i].*which != nullptr) (handlers[i].*which)();
  }
}

// What the kernel has to do with the C library's description of the calling thread.
struct ThreadArea {
  pid_t* id = nullptr;  // where the C library keeps the thread's id
  robust_list_head* robust = nullptr;
  std::size_t robust_bytes = 0;

  [[nodiscard]] bool find() noexcept {
    return ::prctl(PR_GET_TID_ADDRESS, &id) == 0 && id != nullptr && *id == ::gettid() &&
           ::syscall(SYS_get_robust_list, 0, &robust, &robust_bytes) == 0 && robust != nullptr;
  }
};

// The arguments of the raw call are in another order on some machines.
pid_t raw_clone(unsigned long flags, std::atomic<std::uint32_t>& announced, pid_t* child_id) noexcept {
#if defined(__x86_64__) || defined(__hppa__)
  return static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, &announced, child_id, nullptr));
#elif defined(__aarch64__) || defined(__arm__) || defined(__i386__) || defined(__riscv) || defined(__powerpc__)
  return static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, &announced, nullptr, child_id));
#else
  errno = ENOTSUP;
  return -1;
#endif
}

// posix_spawn's two descriptions, as long as they are needed.
class SpawnDescription {
 public:
  SpawnDescription() noexcept {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnDescription() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnDescription(const SpawnDescription&) = delete;
  SpawnDescription& operator=(const SpawnDescription&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

}  // namespace

pid_t spawn(const char* program, char* const* arguments, char* const* environment, int descriptor,
            Signals signals) noexcept {
  if (const int error = injected(Call::fork)) return -error;
  SpawnDescription how;
  // To its own number, too: that takes away its close-on-exec flag.
  int error = ::posix_spawn_file_actions_adddup2(&how.actions, descriptor, inherited_descriptor);
  if (error == 0) error = ::posix_spawn_file_actions_addclosefrom_np(&how.actions, inherited_descriptor + 1);
  if (error == 0 && signals == Signals::blocked) {
    sigset_t all;
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&how.attributes, &all);
    error = ::posix_spawnattr_setflags(&how.attributes, POSIX_SPAWN_SETSIGMASK);
  }
  pid_t pid = 0;
  if (error == 0) error = ::posix_spawn(&pid, program, &how.actions, &how.attributes, arguments, environment);
  return error == 0 ? pid : -error;
}

pid_t fork_sibling(std::atomic<std::uint32_t>& announced) noexcept {
  if (const int error = injected(Call::fork)) return -error;
  ThreadArea thread;
  if (!thread.find()) return -ENOTSUP;
  run(&Handlers::prepare);
  // The kernel gives the child its own id where the C library looks for it, as that one's fork() has it do.
  const pid_t pid =
      raw_clone(CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID, announced, thread.id);
  if (pid != 0) {
    const int error = errno;
    run(&Handlers::parent);
    return pid > 0 ? pid : -error;
  }
  // A child's list of robust locks is not known to the kernel, and locks of a child that dies would stay locked.
  thread.robust->list.next = &thread.robust->list;
  ::syscall(SYS_set_robust_list, thread.robust, thread.robust_bytes);
  run(&Handlers::child);
  return 0;
}

int at_fork(void (*prepare)(), void (*parent)(), void (*child)()) noexcept {
  if (handler_count == handlers.size()) std::abort();
  handlers[handler_count++] = {prepare, parent, child};
  return ::pthread_atfork(prepare, parent, child);
}

int above_standard(int fd) noexcept {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  int moved = -injected(Call::duplicate);
  if (moved == 0) {
    moved = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved < 0) moved = -errno;
  }
  ::close(fd);
  return moved;
}

void raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace multiprocessing::os
