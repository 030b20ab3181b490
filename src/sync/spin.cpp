#include "sync/spin.hpp"

#include <algorithm>
#include <atomic>

#include "os/os.hpp"

namespace multiprocessing::sync {
namespace {

// In looks at the condition, each followed by a pause: 128 … 2,048 looks are 1.5 … 25 µs.  The smallest is longer than a
// futex call takes: with less, a consumer that announces its sleep makes its producer so slow that it has to announce
// the next one too, and a queue stays at a fifth of its speed.
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

enum class Cpus : int { unknown, one_at_all, one_for_us, several };
constinit std::atomic<Cpus> known_cpus{Cpus::unknown};

// An atomic, not a static local: a child forked while another thread initialises one waits for that thread for ever.
Cpus cpus() noexcept {
  Cpus known = known_cpus.load(std::memory_order_relaxed);
  if (known == Cpus::unknown) {
    known = os::available_cpus() > 1 ? Cpus::several : os::machine_cpus() > 1 ? Cpus::one_for_us : Cpus::one_at_all;
    known_cpus.store(known, std::memory_order_relaxed);
  }
  return known;
}

// The peer of a process that is held to one CPU may run beside it on that CPU, or on another: it is tried, and nothing
// of the budget is kept where it does not pay.
int least_budget() noexcept { return cpus() == Cpus::several ? smallest : 0; }

int next_budget() noexcept {
  if (cpus() == Cpus::one_at_all) return 0;
  if (++tries < tries_per_probe) return budget;
  tries = 0;
  return largest;
}

}  // namespace

bool is_spinning_useful() noexcept { return cpus() == Cpus::several; }

Spin::Spin(int cost) noexcept : cost_(cost), given_(next_budget()), left_(given_) {}

bool Spin::again() noexcept {
  if (left_ > 0) {
    left_ -= cost_;
    pause_cpu();
    return true;
  }
  budget = std::max(least_budget(), budget / 2);
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
