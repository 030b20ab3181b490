#include "manager/workers.hpp"

#include <chrono>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "base/own_threads.hpp"
#include "os/signals_blocked.hpp"

namespace multiprocessing::managers {

Workers::~Workers() {
  const std::lock_guard lock(shared_->mutex);
  shared_->ended = true;
  shared_->changed.notify_all();
}

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
  try {
    std::thread([shared = shared_, own = base::OwnThread()] { work(shared); }).detach();
  } catch (const std::system_error&) {  // there are too many: it waits for one of ours, if there is one
    const std::lock_guard lock(shared_->mutex);
    if (--shared_->threads > 0 || shared_->jobs.empty()) return;
    shared_->jobs.pop_back();
    throw;
  }
}

void Workers::finish() {
  std::unique_lock lock(shared_->mutex);
  shared_->done.wait(lock, [&] { return shared_->jobs.empty() && shared_->busy == 0; });
}

bool Workers::finish(std::chrono::nanoseconds patience) {
  std::unique_lock lock(shared_->mutex);
  return shared_->done.wait_for(lock, patience, [&] { return shared_->jobs.empty() && shared_->busy == 0; });
}

void Workers::work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    ++shared->idle;
    const bool some = shared->changed.wait_for(lock, std::chrono::seconds(10), [&] { return !shared->jobs.empty() || shared->ended; });
    --shared->idle;
    if (!some || shared->jobs.empty()) break;
    std::function<void()> job = std::move(shared->jobs.front());
    shared->jobs.pop_front();
    ++shared->busy;
    lock.unlock();
    job();
    job = nullptr;  // what goes with it may ask for another one
    lock.lock();
    if (--shared->busy == 0 && shared->jobs.empty()) shared->done.notify_all();
  }
  --shared->threads;
}

}  // namespace multiprocessing::managers
