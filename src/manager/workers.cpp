#include "manager/workers.hpp"

#include <chrono>
#include <thread>
#include <utility>

#include "base/own_threads.hpp"
#include "os/signals_blocked.hpp"

namespace multiprocessing::managers {

void Workers::run(std::function<void()> job) {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->jobs.push_back(std::move(job));
    if (shared_->idle >= shared_->jobs.size() || shared_->threads == most_threads) {
      shared_->changed.notify_one();
      return;
    }
    ++shared_->threads;
  }
  const os::SignalsBlocked blocked;
  std::thread([shared = shared_, own = base::OwnThread()] { work(shared); }).detach();
}

void Workers::work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    ++shared->idle;
    shared->done.notify_all();
    const bool some = shared->changed.wait_for(lock, std::chrono::seconds(10), [&] { return !shared->jobs.empty(); });
    --shared->idle;
    if (!some) break;
    std::function<void()> job = std::move(shared->jobs.front());
    shared->jobs.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what goes with it may ask for another one
    lock.lock();
  }
  --shared->threads;
}

void Workers::finish() {
  std::unique_lock lock(shared_->mutex);
  shared_->done.wait(lock, [this] { return shared_->jobs.empty() && shared_->idle == shared_->threads; });
}

}  // namespace multiprocessing::managers
