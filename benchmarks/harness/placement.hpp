// Placement: which core a process or thread may run on.
//
// Pinned runs show what the mechanism costs when the scheduler leaves it alone; unpinned runs show what a program
// gets that asks for nothing.  Seats are dealt round robin over the cores this program may use: seat 0 is the
// first producer (or the caller of a pool), seat 1 the first consumer (or worker).
#pragma once

#include <sched.h>

#include <cstddef>
#include <stdexcept>
#include <vector>

namespace bench {

class Placement {
 public:
  explicit Placement(bool pinned) : pinned_{pinned} {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) throw std::runtime_error("sched_getaffinity failed");
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &allowed)) cores_.push_back(cpu);
  }

  // Moves the calling thread to the core of this seat; does nothing in an unpinned run.
  void sit(std::size_t seat) const {
    if (!pinned_) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cores_[seat % cores_.size()], &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) throw std::runtime_error("sched_setaffinity failed");
  }

 private:
  bool pinned_;
  std::vector<int> cores_;
};

}  // namespace bench
