#include "channel/fork_lock.hpp"

#include <chrono>

#include "multiprocessing/errors.hpp"
#include "os/os.hpp"
#include "os/programs.hpp"

namespace multiprocessing::channel {
namespace {

constexpr std::chrono::milliseconds look_again{100};

std::atomic<std::uint32_t> generation{0};
// Registered before main: the guard of a static in a function could be held by another thread at the fork.
[[maybe_unused]] const int registered =
    os::at_fork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });

}  // namespace

std::uint32_t fork_generation() noexcept { return generation.load(std::memory_order_relaxed); }

bool ForkLock::try_lock() {
  const std::uint32_t mine = fork_generation() << 1 | 1;
  std::uint32_t seen = 0;
  if (holder_.compare_exchange_strong(seen, mine, std::memory_order_acquire)) return true;  // sync(fork-lock)
  if (seen == mine) return false;
  throw Error("a connection or listener that a thread was using when this process was forked cannot be used in it");
}

void ForkLock::lock() {
  while (!try_lock()) {
    waiting_.fetch_add(1, std::memory_order_seq_cst);
    os::futex_wait(holder_, fork_generation() << 1 | 1, os::Deadline::after(look_again));
    waiting_.fetch_sub(1, std::memory_order_seq_cst);
  }
}

void ForkLock::unlock() noexcept {
  holder_.store(0, std::memory_order_seq_cst);  // sync(fork-lock): pairs with try_lock()
  if (waiting_.load(std::memory_order_seq_cst) != 0) os::futex_wake(holder_, 1);
}

}  // namespace multiprocessing::channel
