// ThreadPool: the ordinary one, as textbooks have it: a queue of packaged tasks under a mutex, a condition variable,
// and a future for each task.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <queue>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace bench {

class ThreadPool {
 public:
  // `on_start(i)` runs first in worker i.
  ThreadPool(std::size_t workers, const std::function<void(std::size_t)>& on_start) {
    for (std::size_t i = 0; i < workers; ++i)
      workers_.emplace_back([this, i, on_start] {
        on_start(i);
        work();
      });
  }

  ~ThreadPool() {
    {
      const std::lock_guard lock{mutex_};
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  template <class F, class... Args>
  auto submit(F function, Args... args) {
    using Result = std::invoke_result_t<F, Args...>;
    // Shared, because std::function wants a copyable callable.
    auto task = std::make_shared<std::packaged_task<Result()>>([=] { return function(args...); });
    std::future<Result> future = task->get_future();
    {
      const std::lock_guard lock{mutex_};
      tasks_.emplace([task] { (*task)(); });
    }
    wake_.notify_one();
    return future;
  }

 private:
  void work() {
    for (;;) {
      std::unique_lock lock{mutex_};
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::queue<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace bench
