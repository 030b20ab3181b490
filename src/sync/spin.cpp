#include "sync/spin.hpp"

#include <algorithm>
#include <atomic>

#include "os/os.hpp"

namespace multiprocessing::sync {
namespace {

// In looks at the condition, each followed by a pause: 128 … 2,048 looks are 1.5 … 25 µs.  The smallest is longer than a
// futex call takes: with less, a consumer that announces its sleep makes its producer so slow that it has to announce
// the next one too, and a queue stays at a fifth of its speed.
//
// A process that is held to one CPU keeps none of it: its peer may run beside it on that CPU, or on another; the probes
// find that out.
constexpr int smallest = 128;
constexpr int largest = 2048;
thread_local int budget = 256;

// One try in so many is a probe with the largest budget; fewer the longer they find nothing, more when one found
// something: two sides that fell asleep, because one of them was held up once, find each other within 8 turns, and those
// that share a core pay next to nothing.
constexpr unsigned most_tries_per_probe = 256;
constexpr unsigned fewest_tries_per_probe = 8;
thread_local unsigned tries_per_probe = 64;
thread_local unsigned tries = 0;

constexpr unsigned tries_per_slip = 64;
constexpr int slip_pauses = 64;
constexpr std::size_t worth_a_slip = 4;
constexpr int most_credit = 8;
thread_local int slip_credit = 0;
thread_local unsigned slips = 0;

std::atomic<int> machine_cpus{0};  // 0: not asked yet
std::atomic<bool> held_to_one{false};

int floor_of_budget() noexcept { return held_to_one.load(std::memory_order_relaxed) ? 0 : smallest; }

int next_budget() noexcept {
  if (!is_spinning_useful()) return 0;
  if (++tries < tries_per_probe) return budget;
  tries = 0;
  return largest;
}

}  // namespace

// Atomics, not static locals: a child forked while another thread initialises one waits for that thread for ever.
bool is_spinning_useful() noexcept {
  int known = machine_cpus.load(std::memory_order_relaxed);
  if (known == 0) {
    held_to_one.store(os::available_cpus() == 1, std::memory_order_relaxed);
    machine_cpus.store(known = os::machine_cpus(), std::memory_order_relaxed);
  }
  return known > 1;
}

Spin::Spin(int cost) noexcept : cost_(cost), given_(next_budget()), left_(given_) {}

bool Spin::again() noexcept {
  if (left_ > 0) {
    left_ -= cost_;
    pause_cpu();
    return true;
  }
  budget = std::max(floor_of_budget(), budget / 2);
  if (given_ == largest) tries_per_probe = std::min(2 * tries_per_probe, most_tries_per_probe);
  return false;
}

void Spin::paid_off() noexcept {
  if (given_ == largest) tries_per_probe = fewest_tries_per_probe;
  const int wanted = std::min(largest, 2 * (given_ - left_) + smallest);
  budget = wanted > budget ? wanted : (3 * budget + wanted) / 4;
}

void Slip::wait() noexcept {
  if (slip_credit == 0 && ++slips % tries_per_slip != 0) return;
  for (int pause = 0; pause < slip_pauses; ++pause) pause_cpu();
  waited_ = true;
}

void Slip::found(std::size_t count) noexcept {
  if (!waited_) return;
  if (count >= worth_a_slip) {
    slip_credit = most_credit;
  } else if (slip_credit > 0) {
    --slip_credit;
  }
  waited_ = false;
}

}  // namespace multiprocessing::sync
