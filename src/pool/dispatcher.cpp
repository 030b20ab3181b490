// Tasks and results: what pump() does.  The protocol with a worker is in mailbox.hpp.
#include <algorithm>
#include <string>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/pool.hpp"
#include "os/os.hpp"
#include "pool/block.hpp"
#include "pool/core.hpp"
#include "pool/errors.hpp"

namespace multiprocessing::pool {
namespace {

using namespace std::chrono_literals;

// Work that lies ready at a worker, by measured task time: enough to bridge the host's absence, and no more, because
// what lies at one worker cannot run on another without being taken back.
constexpr double work_ahead_ns = 200'000;
constexpr std::size_t most_ahead = 512;
constexpr std::size_t most_at_once = 32;  // a worker that waits should not wait for all of them to be written
// Taking tasks back costs more than letting a worker finish what takes it less than this.
constexpr std::chrono::microseconds worth_taking_back = 100us;

std::uint64_t value(const Word& word) { return word.load(std::memory_order_relaxed); }

// What the worker says has failed; or why that cannot be read.
std::exception_ptr decode_failure(const Received& received) noexcept {
  try {
    const Block block(received);
    codec::Decoder in(block.bytes());
    return decode_exception(in);
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

// REQUIRES (all of this file): mutex_ held.
void Core::add(const std::shared_ptr<Job>& job, std::size_t first, std::size_t tasks) {
  if (tasks == 0) return;
  job->left.fetch_add(tasks, std::memory_order_relaxed);
  queue_.push_back({job, first, first + tasks});
  undecided_ += tasks;
  waiting_ += tasks;
  if (last_result_ == Clock::time_point{}) last_result_ = Clock::now();
  dispatch();
}

// Moves what can be moved now.  True: something came.
bool Core::pump() {
  bool moved = false;
  for (std::size_t place = 0; place < workers_.size(); ++place) {
    moved = drain(place) || moved;
    moved = look_after(place) || moved;
  }
  if (moved) {
    last_result_ = Clock::now();
  } else if (Clock::now() - last_supervisor_check_ > 100ms) {
    last_supervisor_check_ = Clock::now();
    if (broken_ == nullptr && !ending_ && supervisor_has_ended(Deadline::passed())) {
      break_pool(std::make_exception_ptr(PoolBroken("the supervisor of the pool was killed; make a new pool")));
    }
  }
  dispatch();
  return moved;
}

// Takes the results that have come from a worker.
bool Core::drain(std::size_t place) {
  Worker& worker = workers_[place];
  Mailbox& mailbox = *worker.mailbox;
  const std::uint64_t tail = mailbox.result_tail.load(std::memory_order_acquire);  // sync(result): pairs with send()
  if (tail == worker.result_position || worker.damaged) return false;
  std::size_t results = 0;
  while (worker.result_position != tail) {
    Received received;
    if (tail - worker.result_position > ring_bytes || !read_record(mailbox.results, worker.result_position, received)) {
      worker.damaged = true;  // it has scribbled: what it runs gets WorkerDied
      control_->places[place].damaged.store(1, std::memory_order_relaxed);
      ring_supervisor();
      break;
    }
    if ((received.flags & not_ready) != 0) {
      initializer_error_ = decode_failure(received);  // counted when the worker has ended
    } else if (!worker.sent.empty()) {
      decide(worker.sent.front(), received);
      worker.sent.pop_front();
    }
    worker.result_position = received.next;
    ++results;
  }
  mailbox.result_head.store(worker.result_position, std::memory_order_release);  // sync(result-space)
  mailbox.result_space.notify();

  const Clock::time_point now = Clock::now();
  const double ns =
      static_cast<double>((now - worker.busy_since).count()) / static_cast<double>(std::max<std::size_t>(results, 1));
  worker.ns_per_task = worker.ns_per_task == 0 ? ns : 0.5 * (worker.ns_per_task + ns);
  worker.busy_since = now;
  last_used_ = place;
  return true;
}

void Core::decide(const Sent& sent, const Received& received) {
  std::exception_ptr error;
  if ((received.flags & failed) != 0) {
    error = decode_failure(received);
  } else {
    try {
      const Block block(received);
      codec::Decoder in(block.bytes());
      sent.name.job->deliver(sent.name.task, in);
    } catch (...) {
      error = std::current_exception();
    }
  }
  settle(sent.name, error);
}

// The one place where a task gets its verdict; deliver() has been called where there is no error.
void Core::settle(const TaskName& name, std::exception_ptr error) {
  if (error != nullptr) name.job->fail(name.task, std::move(error));
  --undecided_;
  finished_one(name.job);
}

void Core::finished_one(const std::shared_ptr<Job>& job) {
  if (job->left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const auto [first, last] = watched_.equal_range(job);
  for (auto watched = first; watched != last; ++watched) callbacks_.push_back(std::move(watched->second));
  watched_.erase(first, last);
  if (!callbacks_.empty()) thread_events_.notify();
  if (waiters_.load() > 1) control_->doorbell.notify();  // another thread may be waiting for this job
}

// A worker's place changes: ready, dead, could not be forked.
bool Core::look_after(std::size_t place) {
  Worker& worker = workers_[place];
  Place& shared = control_->places[place];
  const PlaceState state = shared.state.load(std::memory_order_acquire);
  if (state == PlaceState::running) {
    if (!worker.running) {
      worker.running = true;
      worker.busy_since = Clock::now();
    }
    if (!worker.ready && worker.mailbox->ready.load(std::memory_order_acquire) != 0) {
      worker.ready = true;
      has_started();
      return true;
    }
    return false;
  }
  if (state == PlaceState::vacant) return false;
  if (state == PlaceState::dead) {
    drain(place);  // what it had finished counts
    bury(place);
  } else {
    if (Clock::now() - worker.busy_since < 100ms) return false;  // no memory, no processes: try again, but not at once
    worker.busy_since = Clock::now();
    count_failed_start(shared);
  }
  shared.state.store(PlaceState::vacant, std::memory_order_release);
  ring_supervisor();
  return true;
}

void Core::has_started() noexcept {
  failed_starts_ = 0;
  initializer_error_ = nullptr;
}

// A worker that never became ready.  The initializer's exception in as many as there are places, or anything else a
// few times in a row, is no accident: the pool is broken, instead of starting workers for ever.
void Core::count_failed_start(const Place& place) {
  if (broken_ != nullptr || ending_) return;
  // While others work a full machine is no reason to give up.
  if (place.state.load() == PlaceState::failed && std::ranges::any_of(workers_, &Worker::running)) return;
  ++failed_starts_;
  if (initializer_error_ != nullptr && failed_starts_ >= processes()) return break_pool(initializer_error_);
  if (failed_starts_ <= std::max(5, 3 * processes())) return;
  if (place.state.load() == PlaceState::failed) {
    break_pool(std::make_exception_ptr(OsError("fork", "worker of a pool", place.status.load())));
  } else {
    break_pool(std::make_exception_ptr(WorkerDied(place.pid.load(), place.status.load(), "the initializer")));
  }
}

// The worker is dead and drained: the task it had begun gets its verdict, the others go to other workers.
void Core::bury(std::size_t place) {
  Worker& worker = workers_[place];
  const Place& shared = control_->places[place];
  take_back(place);
  const bool was_ready = worker.mailbox->ready.load(std::memory_order_acquire) != 0;
  for (const Sent& sent : worker.sent) {  // one at the most, see take_back()
    settle(sent.name, std::make_exception_ptr(worker_died(shared.pid.load(), shared.status.load(),
                                                          sent.name.job->describe(sent.name.task),
                                                          worker.mailbox->crash)));
  }
  worker.sent.clear();
  memory::reap_member(shared.member.load());
  if (was_ready) {
    has_started();
  } else {
    count_failed_start(shared);
  }
  new (&*worker.mailbox) Mailbox;  // for the next one
  worker.mailbox->finish.store(ending_, std::memory_order_relaxed);
  control_->places[place].damaged.store(0, std::memory_order_relaxed);
  worker.damaged = false;
  worker.write_position = 0;
  worker.result_position = 0;
  worker.running = false;
  worker.ready = false;
}

// Takes back the tasks that the worker has not begun.
void Core::take_back(std::size_t place) {
  Worker& worker = workers_[place];
  std::uint64_t word = value(worker.mailbox->ticket);
  Ticket ticket{};
  do {
    ticket = Ticket::of(word);
    ticket.given = ticket.taken;
  } while (!worker.mailbox->ticket.compare_exchange_weak(word, ticket.word(), std::memory_order_acq_rel));
  const std::size_t unstarted = std::min<std::size_t>(Ticket::of(word).unstarted(), worker.sent.size());
  for (std::size_t i = 0; i < unstarted; ++i) {
    worker.write_position = worker.sent.back().position;
    returned_.push_front(std::move(worker.sent.back().name));
    worker.sent.pop_back();
    ++waiting_;
  }
}

// Gives waiting tasks to workers: idle ones first, the one used last (its caches are warm) before others; then ahead
// of need, one each in turns.
void Core::dispatch() {
  if (broken_ != nullptr || ending_) return;
  if (waiting_ == 0) {
    for (std::size_t place = 0; place < workers_.size(); ++place) {
      if (workers_[place].running && workers_[place].sent.empty()) return rebalance();
    }
    return;
  }
  const std::size_t count = workers_.size();
  for (std::size_t i = 0; i < count && waiting_ != 0; ++i) {
    const std::size_t place = (last_used_ + i) % count;
    if (workers_[place].running && workers_[place].sent.empty()) give(place, 1);
  }
  for (std::size_t i = 0; i < count && waiting_ != 0; ++i) {
    Worker& worker = workers_[(last_used_ + i) % count];
    if (!worker.running) continue;
    // Never more than a fair share: a short queue is spread over all.
    const std::size_t fair = std::max<std::size_t>(1, (waiting_ + count - 1) / count);
    const std::size_t target = std::min(depth(worker), worker.sent.size() + fair);
    if (worker.sent.size() * 2 > target) continue;  // refilled when half empty: batches are cheaper
    while (worker.sent.size() < target &&
           give((last_used_ + i) % count, std::min(target - worker.sent.size(), most_at_once)) != 0) {
    }
  }
}

std::size_t Core::depth(const Worker& worker) const {
  if (worker.ns_per_task == 0) return 2;
  return static_cast<std::size_t>(std::clamp(work_ahead_ns / worker.ns_per_task, 2.0, static_cast<double>(most_ahead)));
}

// Gives the worker waiting tasks, at most so many and as many as its ring has room for, by one change of its ticket:
// the line with the ticket goes to and fro between two cores each time.  Returns how many are waiting no more.
std::size_t Core::give(std::size_t place, std::size_t most) {
  std::size_t given = 0;
  std::size_t dealt_with = 0;
  try {
    while (dealt_with < most && waiting_ != 0) {
      const Written written = write_next_task(workers_[place]);
      if (written == Written::no_room) break;
      ++dealt_with;
      given += written == Written::yes;
    }
  } catch (...) {
    hand_over(workers_[place], given);
    throw;
  }
  hand_over(workers_[place], given);
  return dealt_with;
}

// Writes the next waiting task into the worker's ring, where the worker will not see it before hand_over().
Core::Written Core::write_next_task(Worker& worker) {
  Mailbox& mailbox = *worker.mailbox;
  TaskName name;
  const bool from_returned = !returned_.empty();
  if (from_returned) {
    name = returned_.front();
  } else {
    name = {queue_.front().job, queue_.front().next};
  }
  std::vector<memory::Ref> handles;
  BlockName block{};
  std::uint32_t flags = 0;
  std::exception_ptr error;
  encoder_.clear();
  try {
    name.job->encode(name.task, encoder_);
    handles = encoder_.carried();
    if (encoder_.bytes().size() > largest_in_ring) {
      handles.push_back(make_block(encoder_.bytes(), block));
      flags = by_handle;
    }
  } catch (...) {
    error = std::current_exception();
  }
  const std::span<const std::byte> payload =
      flags == by_handle ? std::as_bytes(std::span(&block, 1)) : encoder_.bytes();
  const std::uint64_t oldest = worker.sent.empty() ? worker.write_position : worker.sent.front().position;
  const std::uint64_t bytes = record_bytes(payload.size());
  const std::uint64_t end = pool::place(worker.write_position, bytes) + bytes;
  if (error == nullptr && end - oldest > ring_bytes) return Written::no_room;

  if (error == nullptr) {
    if (worker.sent.empty()) worker.busy_since = Clock::now();
    worker.sent.push_back({name, worker.write_position, std::move(handles)});  // first: there may be no memory for it
  }
  if (from_returned) {
    returned_.pop_front();
  } else if (++queue_.front().next == queue_.front().end) {
    queue_.pop_front();
  }
  --waiting_;
  if (error != nullptr) {
    settle(name, error);
    return Written::failed;
  }
  worker.write_position = write_record(mailbox.tasks, worker.write_position, flags, payload);
  if (encoder_.bytes().size() > (std::size_t{1} << 20)) encoder_ = codec::Encoder();  // gives its memory back
  encoder_.clear();                                                                   // and its handles
  return Written::yes;
}

void Core::hand_over(Worker& worker, std::size_t count) noexcept {
  if (count == 0) return;
  Mailbox& mailbox = *worker.mailbox;
  mailbox.low_water.store(static_cast<std::uint32_t>(worker.sent.size() / 2), std::memory_order_relaxed);
  std::uint64_t word = value(mailbox.ticket);
  Ticket ticket{};
  do {
    ticket = Ticket::of(word);
    ticket.given += static_cast<std::uint32_t>(count);
  } while (!mailbox.ticket.compare_exchange_weak(word, ticket.word(), std::memory_order_release));  // sync(task)
  mailbox.task_events.notify();
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
    if (waiting_ != 0) return dispatch();
  }
}

// How long a sleeper may sleep.  Workers do not ring for every result (mailbox.hpp: low_water), so what follows a
// short task may have to be looked for: soon after the last result, then less and less often.
std::chrono::nanoseconds Core::patience() const {
  if (undecided_ == 0) return sync::EventCount::look_again;
  const std::chrono::nanoseconds age = Clock::now() - last_result_;
  return std::clamp<std::chrono::nanoseconds>(age, 1ms, sync::EventCount::look_again);
}

}  // namespace multiprocessing::pool
