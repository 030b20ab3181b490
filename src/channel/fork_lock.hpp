// A lock between the threads of one process that knows about forks: in a child, what a thread of its parent held is not
// waited for but reported, since that thread is not there to finish what it had begun.
#pragma once

#include <atomic>
#include <cstdint>

namespace multiprocessing::channel {

// How many forks lie between the first process of the program and this one.
[[nodiscard]] std::uint32_t fork_generation() noexcept;

class ForkLock {
 public:
  ForkLock() = default;
  ForkLock(const ForkLock&) = delete;
  ForkLock& operator=(const ForkLock&) = delete;

  void lock();                    // throws Error when a thread of the process that forked this one held it then
  [[nodiscard]] bool try_lock();  // throws as lock()
  void unlock() noexcept;

 private:
  std::atomic<std::uint32_t> holder_{0};  // 0: nobody; generation << 1 | 1
  std::atomic<std::uint32_t> waiting_{0};
};

}  // namespace multiprocessing::channel
