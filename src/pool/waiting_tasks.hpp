// The tasks that no worker has: the highest priority first, and within one the oldest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "multiprocessing/detail/pool_core.hpp"

namespace multiprocessing::pool {

struct TaskName {
  std::shared_ptr<Job> job;
  std::size_t task = 0;
  int tries = 0;  // that have failed
};

class WaitingTasks {
 public:
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

  void push_back(const std::shared_ptr<Job>& job, std::size_t first, std::size_t end) {
    batches_[job->policy.priority].push_back({{job, first, 0}, end});
    count_ += end - first;
  }
  // One that was given out comes back.
  void push_front(TaskName name) {
    const std::size_t end = name.task + 1;
    const int priority = name.job->policy.priority;
    batches_[priority].push_front({std::move(name), end});
    ++count_;
  }
  [[nodiscard]] const TaskName& front() const { return batches_.begin()->second.front().next; }
  void pop_front() {
    const auto first = batches_.begin();
    Batch& batch = first->second.front();
    --count_;
    if (++batch.next.task != batch.end) return;
    first->second.pop_front();
    if (first->second.empty()) batches_.erase(first);
  }
  // Those of one job; of all where it is null.
  [[nodiscard]] std::vector<TaskName> take(const Job* job) {
    std::vector<TaskName> names;
    for (auto each = batches_.begin(); each != batches_.end();) {
      std::deque<Batch> kept;
      for (Batch& batch : each->second) {
        if (job != nullptr && batch.next.job.get() != job) {
          kept.push_back(std::move(batch));
          continue;
        }
        for (std::size_t task = batch.next.task; task < batch.end; ++task) {
          names.push_back({batch.next.job, task, batch.next.tries});
        }
      }
      each->second = std::move(kept);
      each = each->second.empty() ? batches_.erase(each) : std::next(each);
    }
    count_ -= names.size();
    return names;
  }

 private:
  struct Batch {
    TaskName next;
    std::size_t end;
  };
  std::map<int, std::deque<Batch>, std::greater<>> batches_;  // none is empty
  std::size_t count_ = 0;
};

}  // namespace multiprocessing::pool
