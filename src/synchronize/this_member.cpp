#include "synchronize/this_member.hpp"

#include <atomic>

#include "memory/family.hpp"
#include "os/programs.hpp"

namespace multiprocessing::synchronize {
namespace {

std::atomic<std::uint64_t> known{0};  // + 1: 0 is a name

// A child of a fork is another member.
[[maybe_unused]] const int registered =
    os::at_fork(nullptr, nullptr, [] { known.store(0, std::memory_order_relaxed); });

}  // namespace

std::uint64_t this_member() {
  std::uint64_t name = known.load(std::memory_order_relaxed);
  if (name == 0) known.store(name = memory::self_name() + 1, std::memory_order_relaxed);
  return name - 1;
}

}  // namespace multiprocessing::synchronize
