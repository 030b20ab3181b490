// Threads that this library runs in this process.  A fork need not fear them: they hold nothing that a child needs.
#pragma once

#include <atomic>
#include <utility>

namespace multiprocessing::base {

inline constinit std::atomic<int> own_threads{0};

// Made by who starts the thread, and captured by what it runs: std::thread([own = base::OwnThread()] { … });
class OwnThread {
 public:
  OwnThread() noexcept { own_threads.fetch_add(1, std::memory_order_relaxed); }
  OwnThread(OwnThread&& other) noexcept : counted_(std::exchange(other.counted_, 0)) {}
  ~OwnThread() { own_threads.fetch_sub(counted_, std::memory_order_relaxed); }
  OwnThread(const OwnThread&) = delete;
  OwnThread& operator=(const OwnThread&) = delete;

 private:
  int counted_ = 1;
};

}  // namespace multiprocessing::base
