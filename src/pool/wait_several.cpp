// Waiting for results of several pools at once: this thread moves the tasks and results of them all, as one that waits
// for a single pool does (core.hpp), and sleeps on all their doorbells.
#include <algorithm>
#include <cerrno>
#include <deque>
#include <optional>
#include <stdexcept>
#include <vector>

#include "multiprocessing/async_result.hpp"
#include "os/os.hpp"
#include "pool/waiting.hpp"
#include "sync/spin.hpp"

namespace multiprocessing::pool {
namespace {

// Where the kernel cannot sleep on several words (before Linux 5.16), or not on so many.
constexpr std::chrono::milliseconds without_waking{1};

void sleep_on(std::span<const os::FutexWait> words, Deadline deadline) noexcept {
  const int outcome = words.size() <= os::most_futexes ? os::futex_wait_any(words, deadline) : -ENOSYS;
  if (outcome >= 0 || outcome == -EAGAIN || outcome == -EINTR || outcome == -ETIMEDOUT) return;
  os::poll({}, deadline.at_most(without_waking));
}

}  // namespace

bool Core::wait(std::span<const std::shared_ptr<Core>> cores, const std::function<bool()>& ready, Deadline deadline) {
  std::deque<Waiting> waiting;
  for (const auto& core : cores) waiting.emplace_back(*core);
  std::chrono::nanoseconds nap{};
  const auto pump_all = [&cores, &nap] {
    bool moved = false;
    nap = sync::EventCount::look_again;
    for (const auto& core : cores) {
      std::unique_lock lock(core->mutex_);
      moved = core->pump() || moved;
      moved = core->receive_large(lock, nullptr) || moved;
      nap = std::min(nap, core->patience());
    }
    return moved;
  };
  std::vector<os::FutexWait> words;
  for (;;) {
    for (sync::Spin spin(pump_cost * static_cast<int>(cores.size()));;) {
      const bool moved = pump_all();
      if (ready()) {
        spin.paid_off();
        return true;
      }
      if (moved) continue;
      if (deadline.is_over()) return false;
      if (!spin.again()) break;
    }
    words.clear();
    for (const auto& core : cores) {
      const auto ticket = core->control_->doorbell.prepare();
      words.push_back({&core->control_->doorbell.word(), ticket});
    }
    if (pump_all() || ready()) continue;
    sleep_on(words, deadline.at_most(nap));
  }
}

namespace {

std::optional<std::size_t> first_ready(std::span<const AnyResult> results) {
  const auto found = std::ranges::find_if(results, &AnyResult::ready);
  if (found == results.end()) return std::nullopt;
  return static_cast<std::size_t>(found - results.begin());
}

}  // namespace

void add_core(std::vector<std::shared_ptr<Core>>& cores, const std::shared_ptr<Core>& core) {
  if (std::ranges::find(cores, core) == cores.end()) cores.push_back(core);
}

std::optional<std::size_t> wait_any(std::span<const AnyResult> results, Deadline deadline) {
  if (results.empty()) throw std::invalid_argument("mp::wait_any: there is no result to wait for");
  if (const auto found = first_ready(results)) return found;
  std::vector<std::shared_ptr<Core>> cores;
  for (const AnyResult& result : results) add_core(cores, result.core());
  wait(
      cores, [results] { return first_ready(results).has_value(); }, deadline);
  return first_ready(results);
}

// --- as_completed -------------------------------------------------------------------------------------------------

void Completions::add(const AnyResult& result) {
  const std::size_t index = count_++;
  add_core(cores_, result.core());
  note_when_complete(*result.core(), result.job(), [arrived = arrived_, index] {
    const std::lock_guard lock(arrived->mutex);
    arrived->indexes.push_back(index);
  });
}

void Completions::reserve(std::size_t more) {
  const std::lock_guard lock(arrived_->mutex);
  arrived_->indexes.reserve(arrived_->indexes.size() + more);
}

std::optional<std::size_t> Completions::next(Deadline deadline) {
  if (taken_ == count_) return std::nullopt;
  const auto has_next = [this] {
    const std::lock_guard lock(arrived_->mutex);
    return taken_ < arrived_->indexes.size();
  };
  if (!has_next() && !wait(cores_, has_next, deadline)) {
    throw TimeoutError("mp::as_completed: " + std::to_string(count_ - taken_) + " of " + std::to_string(count_) +
                       " results are not ready within the time given");
  }
  const std::lock_guard lock(arrived_->mutex);
  return arrived_->indexes[taken_++];
}

}  // namespace multiprocessing::pool
