// Tasks go to workers.  The protocol with a worker is in mailbox.hpp.
//
// REQUIRES (all of this file): mutex_ held.
#include <algorithm>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/pool.hpp"
#include "pool/core.hpp"

namespace multiprocessing::pool {
namespace {

using namespace std::chrono_literals;

// Work that lies ready at a worker, by measured task time: enough that the host, which has to find a core first, is woken
// once for several tasks (a skewed map took 1.25 × the ideal time with a tenth of this, and takes 1.06 ×); no more, because
// what lies at one worker cannot run on another without being taken back.
constexpr double work_ahead_ns = 2'000'000;
constexpr double chunk_ns = 50'000;  // of calls that go together: long beside what handing over takes
// Large results of a worker that nobody has received yet, from which on it gets nothing more: else memory fills with them.
constexpr std::size_t most_unread = 4;
constexpr std::size_t most_at_once = 32;  // a worker that waits should not wait for all of them to be written
// Taking tasks back costs more than letting a worker finish what takes it less than this.
constexpr std::chrono::microseconds worth_taking_back = 100us;

std::uint64_t value(const Word& word) { return word.load(std::memory_order_relaxed); }

std::uint64_t count_of(std::chrono::nanoseconds time) {
  return time.count() > 0 ? static_cast<std::uint64_t>(time.count()) : 0;
}

bool has_limits(const Policy& policy) { return policy.timeout.count() > 0 || policy.soft_timeout.count() > 0; }

}  // namespace

void Core::add(const std::shared_ptr<Job>& job, Calls calls) {
  if (calls.count == 0) return;
  job->left.fetch_add(calls.count, std::memory_order_relaxed);
  tasks_.push_back({job, calls});
  undecided_ += calls.count;
  counts_.submitted += calls.count;
  if (last_result_ == Clock::time_point{}) last_result_ = Clock::now();
  priorities_differ_ = priorities_differ_ || job->policy.priority != 0;
  limits_used_ = limits_used_ || has_limits(job->policy);
  if (priorities_differ_) take_back_less_urgent(job->policy.priority);
  dispatch();
}

// Takes back the tasks that the worker has not begun.
void Core::take_back(std::size_t place) {
  Worker& worker = workers_[place];
  Mailbox& mailbox = mailboxes_[place];
  std::uint64_t word = value(mailbox.ticket);
  Ticket ticket{};
  do {
    ticket = Ticket::of(word);
    ticket.given = ticket.taken;
  } while (!mailbox.ticket.compare_exchange_weak(word, ticket.word(), std::memory_order_acq_rel));
  const std::size_t unstarted = std::min<std::size_t>(Ticket::of(word).unstarted(), worker.sent.size());
  std::uint32_t watched = worker.watched;
  for (std::size_t i = 0; i < unstarted; ++i) {
    Sent& last = worker.sent.back();
    worker.write_position = last.position;
    watched -= last.limited;
    tasks_.push_front(std::move(last.task));
    worker.sent.pop_back();
  }
  watch(place, watched);
}

void Core::take_back_less_urgent(int priority) {
  for (std::size_t place = 0; place < workers_.size(); ++place) {
    const auto less_urgent = [priority](const Sent& sent) { return sent.task.job->policy.priority < priority; };
    if (std::ranges::any_of(workers_[place].sent, less_urgent)) take_back(place);
  }
}

// Gives waiting tasks to workers: idle ones first, the one used last (its caches are warm) before others; then ahead
// of need, one each in turns.
void Core::dispatch() {
  if (broken_ != nullptr || ending_) return;
  if (tasks_.empty()) {
    for (const Worker& worker : workers_) {
      if (may_be_given(worker) && worker.sent.empty()) return rebalance();
    }
    return;
  }
  const std::size_t count = workers_.size();
  for (std::size_t i = 0; i < count && !tasks_.empty(); ++i) {
    const std::size_t place = (last_used_ + i) % count;
    if (may_be_given(workers_[place]) && workers_[place].sent.empty()) give(place, 1);
  }
  for (std::size_t i = 0; i < count && !tasks_.empty(); ++i) {
    const std::size_t place = (last_used_ + i) % count;
    const Worker& worker = workers_[place];
    if (!may_be_given(worker)) continue;
    // Never more than a fair share: a short queue is spread over all.
    const std::size_t fair = std::max<std::size_t>(1, (tasks_.size() + count - 1) / count);
    const std::size_t target = std::min(depth(worker), worker.sent.size() + fair);
    if (worker.sent.size() * 2 > target) continue;  // refilled when half empty: batches are cheaper
    while (worker.sent.size() < target && give(place, std::min(target - worker.sent.size(), most_at_once)) != 0) {
    }
  }
}

bool Core::may_be_given(const Worker& worker) const noexcept {
  return worker.running && !worker.finishing && *worker.unread < most_unread &&
         (max_tasks_per_child_ == 0 || worker.done + worker.sent.size() < max_tasks_per_child_);
}

std::size_t Core::depth(const Worker& worker) const {
  const double by_time = worker.ns_per_task == 0
                             ? 2.0
                             : std::clamp(work_ahead_ns / worker.ns_per_task, 2.0, static_cast<double>(most_ahead));
  const std::size_t left =
      max_tasks_per_child_ == 0 ? most_ahead : max_tasks_per_child_ - std::min(worker.done, max_tasks_per_child_);
  return std::min(static_cast<std::size_t>(by_time), left);
}

// How many of these calls make a task.
std::size_t Core::calls_for(const Task& waiting) const {
  const std::size_t chunk = waiting.job->policy.chunk;
  if (chunk != 0) return std::min(chunk, waiting.calls.count);
  const double ns_per_call = waiting.job->ns_per_call;
  if (ns_per_call == 0) return 1;  // the first ones are measured
  const double bytes = std::max(waiting.job->bytes_per_call, 1.0);
  const double wanted = std::min(chunk_ns / ns_per_call, static_cast<double>(largest_in_ring / 2) / bytes);
  // Small at the end: no worker has more than a small part of what is left to do.
  const std::size_t by_share = std::max<std::size_t>(1, waiting.calls.count / (4 * workers_.size()));
  return std::clamp(static_cast<std::size_t>(wanted), std::size_t{1}, by_share);
}

// Gives the worker waiting tasks, at most so many and as many as its ring has room for, by one change of its ticket:
// the line with the ticket goes to and fro between two cores each time.  Returns how many are waiting no more.
std::size_t Core::give(std::size_t place, std::size_t most) {
  std::size_t given = 0;
  std::size_t dealt_with = 0;
  try {
    while (dealt_with < most && !tasks_.empty()) {
      const Written written = write_next_task(place);
      if (written == Written::no_room) break;
      ++dealt_with;
      given += written == Written::yes;
    }
  } catch (...) {
    hand_over(place, given);
    throw;
  }
  hand_over(place, given);
  return dealt_with;
}

// Writes the next waiting task into the worker's ring, where the worker will not see it before hand_over().
Core::Written Core::write_next_task(std::size_t place) {
  Worker& worker = workers_[place];
  Task task{tasks_.front().job, {tasks_.front().calls.first, calls_for(tasks_.front())}, tasks_.front().tries};
  std::vector<memory::Ref> handles;
  BlockName block{};
  const bool limited = memory_is_limited_ || has_limits(task.job->policy);
  std::uint32_t flags = limited ? std::uint32_t{pool::limited} : 0;
  std::exception_ptr error;
  encoder_.clear();
  try {
    task.job->encode(task.calls, encoder_);
    note_size(*task.job, encoder_.bytes().size(), task.calls.count);
    handles = encoder_.carried();
    if (encoder_.bytes().size() > largest_in_ring) {
      handles.push_back(make_block(encoder_.bytes(), {}, block));
      flags |= by_handle;
    }
  } catch (...) {
    error = std::current_exception();
  }
  if (error != nullptr) {
    tasks_.pop_front(task.calls.count);
    fail(task, error);
    return Written::failed;
  }
  const std::span<const std::byte> payload =
      (flags & by_handle) != 0 ? std::as_bytes(std::span(&block, 1)) : encoder_.bytes();
  const std::uint64_t oldest = worker.sent.empty() ? worker.write_position : worker.sent.front().position;
  const std::uint64_t bytes = record_bytes(payload.size());
  if (pool::place(worker.write_position, bytes) + bytes - oldest > ring_bytes) return Written::no_room;

  if (worker.sent.empty()) worker.busy_since = Clock::now();
  const auto number = static_cast<std::uint32_t>(worker.first_number + worker.sent.size()) & number_mask;
  if (limits_used_) limit(place, number, task.job->policy);
  // First, for there may be no memory for it.
  worker.sent.push_back({std::move(task), worker.write_position, std::move(handles), limited});
  tasks_.pop_front(worker.sent.back().task.calls.count);
  worker.write_position = write_record(mailboxes_[place].tasks, worker.write_position, flags, payload);
  if (encoder_.bytes().size() > (std::size_t{1} << 20)) encoder_ = codec::Encoder();  // gives its memory back
  encoder_.clear();                                                                   // and its handles
  return Written::yes;
}

void Core::hand_over(std::size_t place, std::size_t count) noexcept {
  if (count == 0) return;
  Worker& worker = workers_[place];
  Mailbox& mailbox = mailboxes_[place];
  std::uint32_t watched = worker.watched;
  for (std::size_t i = worker.sent.size() - count; i < worker.sent.size(); ++i) watched += worker.sent[i].limited;
  watch(place, watched);
  mailbox.low_water.store(static_cast<std::uint32_t>(worker.sent.size() / 2), std::memory_order_relaxed);
  std::uint64_t word = value(mailbox.ticket);
  Ticket ticket{};
  do {
    ticket = Ticket::of(word);
    ticket.given += static_cast<std::uint32_t>(count);
  } while (!mailbox.ticket.compare_exchange_weak(word, ticket.word(), std::memory_order_release));  // sync(task)
  mailbox.task_events.notify();
}

// Before the task is handed over, which publishes it.
void Core::limit(std::size_t place, std::uint32_t number, const Policy& policy) noexcept {
  const Limits limits{count_of(policy.timeout), count_of(policy.soft_timeout)};
  control_->limits[place][number % most_ahead] = limits;
  for (const std::uint64_t each : {limits.hard_ns, limits.soft_ns}) {
    if (each == 0 || each >= value(control_->shortest_ns)) continue;
    control_->shortest_ns.store(each);
    shortest_has_changed_ = true;
  }
}

// So many of the worker's tasks are watched by the supervisor.
void Core::watch(std::size_t place, std::uint32_t tasks) noexcept {
  Worker& worker = workers_[place];
  if (worker.watched == tasks) return;
  watched_tasks_ += tasks - worker.watched;
  worker.watched = tasks;
  control_->places[place].watched.store(tasks);  // seq_cst, as `watching`: one of the two sees the other
  if (watched_tasks_ == 0) control_->shortest_ns.store(~std::uint64_t{0});
  if (tasks == 0) return;
  if (control_->watching.load() == 0 || shortest_has_changed_) ring_supervisor();
  shortest_has_changed_ = false;
}

// A worker has nothing to do: it gets what waits behind another's long task.
void Core::rebalance() {
  const Clock::time_point now = Clock::now();
  for (std::size_t place = 0; place < workers_.size(); ++place) {
    Worker& worker = workers_[place];
    if (worker.sent.size() < 2) continue;
    const auto expected = std::chrono::nanoseconds(
        static_cast<std::int64_t>(worker.ns_per_task * static_cast<double>(worker.sent.size())));
    if (expected < worth_taking_back && now - worker.busy_since < worth_taking_back) continue;
    take_back(place);
    if (!tasks_.empty()) return dispatch();
  }
}

}  // namespace multiprocessing::pool
