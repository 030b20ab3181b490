// Workers: threads for what must not keep the server waiting.  As many as are needed at a time, kept for a while.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace multiprocessing::managers {

class Workers {
 public:
  static constexpr std::size_t most_threads = 256;  // beyond that jobs wait for one
  Workers() = default;
  ~Workers();  // those who have nothing to do end
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // `job` throws nothing.  Throws std::system_error where no thread at all can be had.
  void run(std::function<void()> job);
  // Waits until all jobs are done.  False: not within `patience`.
  void finish();
  [[nodiscard]] bool finish(std::chrono::nanoseconds patience);

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;  // there are jobs
    std::condition_variable done;     // there are none
    std::deque<std::function<void()>> jobs;
    std::size_t threads = 0;
    std::size_t idle = 0;
    std::size_t busy = 0;
    bool ended = false;
  };
  static void work(const std::shared_ptr<Shared>& shared);
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace multiprocessing::managers
