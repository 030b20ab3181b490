// PerProcess<T>: a T for this process, made on first use.  In a forked child the parent's is left as it was at the fork,
// which may have been in the middle of a change by another thread, and the child makes its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace multiprocessing::managers {

// How often this process is the copy of another one.
[[nodiscard]] std::uint32_t forks_so_far() noexcept;

template <class T>
class PerProcess {
 public:
  constexpr PerProcess() noexcept = default;
  PerProcess(const PerProcess&) = delete;
  PerProcess& operator=(const PerProcess&) = delete;
  ~PerProcess() {
    if (Made* const made = made_.load(std::memory_order_acquire); made != nullptr && made->forks == forks_so_far()) {
      delete made;
    }
  }
  [[nodiscard]] T& get() {
    Made* made = made_.load(std::memory_order_acquire);
    while (made == nullptr || made->forks != forks_so_far()) {
      auto fresh = std::make_unique<Made>();
      fresh->forks = forks_so_far();
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

}  // namespace multiprocessing::managers
