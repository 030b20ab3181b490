// The kernel's parent-death signal is airtight, reaches a stopped process and survives exec, but it is sent
// when the *thread* that forked ends.  For a fork by the main thread that is the end of the process, or
// nearly (a main thread that ends by pthread_exit takes the daemons it started along).  For other threads it
// would be wrong, so a thread here waits for the parent's end; the death signal is then SIGCONT, so that a
// stopped child looks up too.
#include "process/watch_parent.hpp"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/error.hpp"
#include "os/os.hpp"

namespace multiprocessing::process_ {
namespace {

// 0: the parent is in a PID namespace above, where its death cannot be seen like this.
bool is_gone(pid_t parent) {
  const pid_t now = ::getppid();
  return now != parent && now != 0;
}

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

// Only getppid() decides; the pidfd makes it quick.  Without one (none left, or closed by the program) the
// watcher looks ten times a second.
void* watch(void* argument) {
  const auto parent = static_cast<pid_t>(reinterpret_cast<std::intptr_t>(argument));
  int pidfd = os::pidfd_open(parent);
  while (!is_gone(parent)) {
    pollfd end{pidfd, POLLIN, 0};  // a negative descriptor is ignored by poll
    const auto slice = pidfd < 0 ? os::Deadline::after(std::chrono::milliseconds(100)) : os::Deadline::never();
    if (os::poll({&end, 1}, slice) > 0) pidfd = -1;
  }
  die();
}

void start_watcher(pid_t parent) {
  constexpr std::size_t stack_bytes = 64 * 1024;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes,
                            std::max<std::size_t>(stack_bytes, static_cast<std::size_t>(PTHREAD_STACK_MIN)));
  // No signal is ever delivered to the watcher: handlers of the program run in the program's threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  void* const argument = reinterpret_cast<void*>(static_cast<std::intptr_t>(parent));
  int error = pthread_create(&thread, &attributes, watch, argument);
  if (error == EINVAL) {  // thread-local variables of the program need more than that
    pthread_attr_destroy(&attributes);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    error = pthread_create(&thread, &attributes, watch, argument);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) base::throw_os_error("pthread_create", "watcher of the parent", error);
}

}  // namespace

void die_with_parent(pid_t parent, bool forked_by_main_thread) {
  os::set_parent_death_signal(forked_by_main_thread ? SIGKILL : SIGCONT);
  if (is_gone(parent)) die();  // it died before the line above took effect
  if (!forked_by_main_thread) start_watcher(parent);
}

}  // namespace multiprocessing::process_
