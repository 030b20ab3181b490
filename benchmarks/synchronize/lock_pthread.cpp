// The C library's robust mutex, process-shared, as it is.
#include <pthread.h>

#include "synchronize/workload.hpp"

namespace {

struct Mutex {
  Mutex() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
  }
  pthread_mutex_t mutex;
};

struct Robust {
  using Child = bench::RawFork;
  struct End {
    pthread_mutex_t* mutex;
    void lock() const { bench::require(pthread_mutex_lock(mutex) == 0, "pthread_mutex_lock failed"); }
    void unlock() const { pthread_mutex_unlock(mutex); }
  };
  End end() const { return {&mutex->mutex}; }
  bench::Shared<Mutex> mutex;
};

}  // namespace

int main(int argc, char** argv) { return bench::lock_main<Robust>(argc, argv); }
