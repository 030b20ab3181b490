// The workloads of what synchronises.
//
//   lock    `processes` take the same lock, each as often as the others, and add one to a plain number under it;
//           one process: the cost of a lock that nobody else wants
//   event   two processes hand a turn to and fro; an item is a turn there and back
//
// A contender is made before the fork.
//   struct Contender { using Child = …; struct End { void lock(); void unlock(); }; End end(); };
//   struct Contender { using Child = …; struct End { void give(int to); void await(int who); }; End end(); };
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>

#include "harness/arguments.hpp"
#include "harness/placement.hpp"
#include "harness/sample.hpp"
#include "harness/team.hpp"

namespace bench {

// A T in memory that forked processes share.
template <class T>
class Shared {
 public:
  Shared() {
    void* memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    value_ = new (memory) T;
  }
  ~Shared() { ::munmap(value_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T& operator*() const noexcept { return *value_; }
  T* operator->() const noexcept { return value_; }

 private:
  T* value_;
};

struct alignas(64) Counted {
  volatile std::uint64_t number = 0;
};

template <class Contender>
Sample measure_lock(std::size_t items, std::size_t processes, const Placement& placement) {
  Contender contender;
  Shared<Counted> counted;
  Team<typename Contender::Child> team{placement};
  for (std::size_t i = 0; i < processes; ++i) {
    team.add(i, [&, share = items / processes](const Lap& lap) {
      auto end = contender.end();
      lap.start();
      for (std::size_t turn = 0; turn < share; ++turn) {
        end.lock();
        counted->number = counted->number + 1;
        end.unlock();
      }
      lap.stop({});
    });
  }
  const Outcome outcome = team.run();
  require(counted->number == items / processes * processes, "two held the lock at once");
  return {items, outcome.nanoseconds};
}

template <class Contender>
Sample measure_turns(std::size_t items, const Placement& placement) {
  Contender contender;
  Team<typename Contender::Child> team{placement};
  for (const int who : {0, 1}) {
    team.add(static_cast<std::size_t>(who), [&, who](const Lap& lap) {
      auto end = contender.end();
      lap.start();
      for (std::size_t turn = 0; turn < items; ++turn) {
        if (who == 1) end.await(1);
        end.give(1 - who);
        if (who == 0) end.await(0);
      }
      lap.stop({});
    });
  }
  return {items, team.run().nanoseconds};
}

template <class Contender>
int lock_main(int argc, char** argv) {
  return report([&] {
    const Arguments arguments{argc, argv};
    return measure_lock<Contender>(arguments.number("items", 1'000'000), arguments.number("processes", 1),
                                   Placement{arguments.flag("pinned")});
  });
}

template <class Contender>
int turns_main(int argc, char** argv) {
  return report([&] {
    const Arguments arguments{argc, argv};
    return measure_turns<Contender>(arguments.number("items", 100'000), Placement{arguments.flag("pinned")});
  });
}

}  // namespace bench
