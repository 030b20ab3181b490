#include "sync/spin.hpp"

#include <algorithm>
#include <atomic>

#include "os/os.hpp"

namespace multiprocessing::sync {
namespace {

// In looks at the condition, each followed by a pause of some 40 cycles: 16 … 2,048 looks are 0.2 … 25 µs.
constexpr int smallest = 16;
constexpr int largest = 2048;
thread_local int budget = 256;

// Not a static local: a child forked while another thread initialises one waits for that thread for ever.
bool single_cpu() noexcept {
  static std::atomic<int> cpus{0};
  int known = cpus.load(std::memory_order_relaxed);
  if (known == 0) cpus.store(known = os::available_cpus(), std::memory_order_relaxed);
  return known < 2;
}

void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

}  // namespace

Spin::Spin(int cost) noexcept : cost_(cost), left_(single_cpu() ? 0 : budget) {}

bool Spin::again() noexcept {
  if (left_ > 0) {
    left_ -= cost_;
    pause();
    return true;
  }
  budget = std::max(smallest, budget / 2);
  return false;
}

void Spin::paid_off() noexcept { budget = std::min(largest, budget * 2); }

}  // namespace multiprocessing::sync
