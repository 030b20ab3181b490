#include "sync/robust_lock.hpp"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <thread>

#include "os/faults.hpp"
#include "sync/spin.hpp"

#if defined(__SANITIZE_THREAD__)
#define MULTIPROCESSING_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MULTIPROCESSING_TSAN 1
#endif
#endif

namespace multiprocessing::sync {
namespace {

// A waiter whose wake-up went to one that died looks again after the first, and less often the longer it waits.
constexpr std::chrono::milliseconds first_slice{20};
constexpr std::chrono::milliseconds longest_slice{160};

int timed_lock(pthread_mutex_t& mutex, Deadline until) noexcept {
#ifdef MULTIPROCESSING_TSAN
  // ThreadSanitizer does not know pthread_mutex_clocklock, and of timedlock it does not know that the owner may be dead;
  // of trylock it does.
  for (;;) {
    const int error = pthread_mutex_trylock(&mutex);
    if (error != EBUSY) return error;
    if (until.is_over()) return ETIMEDOUT;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
#else
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(until.when().time_since_epoch()).count();
  const timespec at{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  return pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &at);
#endif
}

}  // namespace

RobustLock::RobustLock() noexcept {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&mutex_, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

Acquired RobustLock::taken_from_dead_owner() noexcept {
  pthread_mutex_consistent(&mutex_);
  MULTIPROCESSING_STEP("lock.taken_from_dead_owner");
  return Acquired::from_dead_owner;
}

Acquired RobustLock::acquire(Deadline deadline) noexcept {
  const Acquired at_once = try_acquire();
  return at_once != Acquired::timed_out ? at_once : acquire_contended(deadline);
}

Acquired RobustLock::acquire_contended(Deadline deadline) noexcept {
  // What a lock protects takes some 100 ns: if it is not free soon, its holder does not run.  Less and less often, and
  // without trying while it is held: whoever uses it again and again does that several times faster while its line stays
  // on one core.
  if (is_spinning_useful()) {
    for (int pauses = 1; pauses <= 64; pauses *= 2) {
      for (int i = 0; i < pauses; ++i) pause_cpu();
      if (owner() != 0) continue;
      const Acquired got = try_acquire();
      if (got != Acquired::timed_out) return got;
    }
  }
  for (std::chrono::milliseconds slice = first_slice;; slice = std::min(2 * slice, longest_slice)) {
    if (deadline.is_over()) return Acquired::timed_out;  // first of all: the C library refuses times before boot
    const int error = timed_lock(mutex_, deadline.at_most(slice));
    if (error == 0 || error == EOWNERDEAD) return taken(error);
    // ENOTRECOVERABLE cannot be: every taker marks the lock consistent.  Scribbled memory could make it so, or
    // EINVAL; then there is no lock any more and going on without one would lose items: stop here.
    if (error != ETIMEDOUT) std::abort();
  }
}

// What else the C library keeps in it, it writes before it reads.
bool RobustLock::is_sound() const noexcept {
  constexpr int not_recoverable = std::numeric_limits<int>::max() - 1;  // PTHREAD_MUTEX_NOTRECOVERABLE, in its sources
  const RobustLock sound;
  return mutex_.__data.__kind == sound.mutex_.__data.__kind &&
         __atomic_load_n(&mutex_.__data.__owner, __ATOMIC_RELAXED) != not_recoverable;
}

bool RobustLock::is_held_in_this_process() const noexcept {
  const pid_t thread = owner();
  return thread != 0 && ::syscall(SYS_tgkill, ::getpid(), thread, 0) == 0;
}

}  // namespace multiprocessing::sync
