// PerProcess<T>: a T for this process, made on first use.  In a forked child the parent's is left as it was at the fork,
// which may have been in the middle of a change by another thread, and the child makes its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "channel/fork_lock.hpp"

namespace multiprocessing::managers {

template <class T>
class PerProcess {
 public:
  constexpr PerProcess() noexcept = default;
  PerProcess(const PerProcess&) = delete;
  PerProcess& operator=(const PerProcess&) = delete;
  ~PerProcess() {
    if (Made* const made = made_.load(std::memory_order_acquire); made != nullptr && made->forks == channel::fork_generation()) {
      delete made;
    }
  }
  [[nodiscard]] T& get() {
    Made* made = made_.load(std::memory_order_acquire);
    while (made == nullptr || made->forks != channel::fork_generation()) {
      auto fresh = std::make_unique<Made>();
      fresh->forks = channel::fork_generation();
      if (made_.compare_exchange_strong(made, fresh.get(), std::memory_order_acq_rel)) made = fresh.release();
    }
    return made->value;
  }

 private:
  struct Made {
    std::uint32_t forks = 0;
    T value;
  };
  std::atomic<Made*> made_{nullptr};
};

// Never destroyed: handles in static storage outlive it.
template <class T>
union Forever {
  constexpr Forever() noexcept : value() {}
  ~Forever() {}
  T value;
};

}  // namespace multiprocessing::managers
