// The calls that no worker has: the highest priority first, and within one the oldest.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "multiprocessing/detail/pool_core.hpp"

namespace multiprocessing::pool {

// What goes to a worker at once.
struct Task {
  std::shared_ptr<Job> job;
  Calls calls;
  int tries = 0;  // that have failed
};

class WaitingTasks {
 public:
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }  // calls

  void push_back(Task task) {
    count_ += task.calls.count;
    const int priority = task.job->policy.priority;
    tasks_[priority].push_back(std::move(task));
  }
  // One that was given out comes back.
  void push_front(Task task) {
    count_ += task.calls.count;
    std::deque<Task>& same = tasks_[task.job->policy.priority];
    // Together again with what it was cut off from.
    if (!same.empty() && same.front().job == task.job && same.front().tries == task.tries &&
        same.front().calls.first == task.calls.end()) {
      same.front().calls.first = task.calls.first;
      same.front().calls.count += task.calls.count;
    } else {
      same.push_front(std::move(task));
    }
  }
  [[nodiscard]] const Task& front() const { return tasks_.begin()->second.front(); }
  // The first calls of front() go.
  void pop_front(std::size_t calls) {
    const auto first = tasks_.begin();
    Task& task = first->second.front();
    count_ -= calls;
    task.calls.first += calls;
    task.calls.count -= calls;
    if (task.calls.count != 0) return;
    first->second.pop_front();
    if (first->second.empty()) tasks_.erase(first);
  }
  // Those of one job; of all where it is null.
  [[nodiscard]] std::vector<Task> take(const Job* job) {
    std::vector<Task> taken;
    for (auto each = tasks_.begin(); each != tasks_.end();) {
      std::deque<Task>& tasks = each->second;
      const auto is_other = [job](const Task& task) { return job != nullptr && task.job.get() != job; };
      const auto first = std::stable_partition(tasks.begin(), tasks.end(), is_other);
      std::move(first, tasks.end(), std::back_inserter(taken));
      tasks.erase(first, tasks.end());
      each = tasks.empty() ? tasks_.erase(each) : std::next(each);
    }
    for (const Task& task : taken) count_ -= task.calls.count;
    return taken;
  }

 private:
  std::map<int, std::deque<Task>, std::greater<>> tasks_;  // none is empty
  std::size_t count_ = 0;
};

}  // namespace multiprocessing::pool
