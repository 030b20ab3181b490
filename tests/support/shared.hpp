// Shared<T>: one T in anonymous memory that forked children see too, for tests that need a place to report to.
//
//   struct Board { std::atomic<int> ready{0}; };
//   Shared<Board> board;   board->ready.fetch_add(1);
//   spin_until([&] { return board->ready == 3; });        // others must make it true; the watchdog is the limit
#pragma once

#include <sched.h>
#include <sys/mman.h>

#include <new>
#include <type_traits>

namespace multiprocessing::testing {

template <class T>
class Shared {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  Shared() {
    void* area = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) throw std::bad_alloc();
    object_ = new (area) T;
  }
  ~Shared() { ::munmap(object_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

 private:
  T* object_;
};

template <class Condition>
void spin_until(Condition condition) {
  while (!condition()) ::sched_yield();
}

}  // namespace multiprocessing::testing
