#include "pool/pool_trace.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "pool/control.hpp"

namespace multiprocessing::pool {
namespace {

using process_::Trace;
using process_::TraceEvent;

constinit std::atomic<std::uint32_t> pools_traced{0};

}  // namespace

std::unique_ptr<PoolTrace> PoolTrace::of(const std::string& pool_name) {
  return Trace::current() != nullptr ? std::make_unique<PoolTrace>(pool_name) : nullptr;
}

// Numbers of tracks start anew in each process: those of the first pool at 1.
PoolTrace::PoolTrace(std::string name)
    : name_(std::move(name)),
      first_tid_(pools_traced.fetch_add(1, std::memory_order_relaxed) * std::uint32_t{most_workers} + 1) {}

PoolTrace::Track& PoolTrace::track(std::size_t place) {
  if (place >= tracks_.size()) tracks_.resize(place + 1);
  return tracks_[place];
}

std::uint32_t PoolTrace::tid(std::size_t place) const noexcept {
  return first_tid_ + static_cast<std::uint32_t>(place);
}

TraceEvent PoolTrace::event(std::string_view name, char phase, std::size_t place) const {
  return {name, phase, ::getpid(), tid(place)};
}

void PoolTrace::add(TraceEvent&& event) noexcept {
  if (Trace* const trace = Trace::current()) trace->add(std::move(event));
}

void PoolTrace::worker_runs(std::size_t place, pid_t pid) noexcept try {
  const bool first = !track(place).named;
  if (first) {
    track(place).named = true;
    const std::string pool = name_.empty() ? "pool " + std::to_string(first_tid_ / most_workers + 1) : name_;
    TraceEvent name = event("thread_name", 'M', place);
    name.arg("name", pool + ", worker " + std::to_string(place + 1));
    add(std::move(name));
  }
  TraceEvent start = event(first ? "start" : "restart", 'i', place);
  start.at(Trace::now()).arg("pid", pid);
  add(std::move(start));
} catch (...) {  // no memory: an event less
}

void PoolTrace::task_ran(std::size_t place, pid_t pid, const Task& task, Span span, std::string_view outcome) noexcept
    try {
  Track& its = track(place);
  const std::uint64_t begin = std::max(span.begin_ns, its.end_ns);
  const std::uint64_t end = std::max(span.end_ns, begin);
  its.end_ns = end;
  TraceEvent done = event(task.job->function(), 'X', place);
  done.at(begin).lasting(end - begin).arg("task", static_cast<std::int64_t>(task.calls.first));
  if (task.calls.count != 1) done.arg("count", static_cast<std::int64_t>(task.calls.count));
  if (task.tries != 0) done.arg("retry", task.tries);
  done.arg("worker", pid).arg("outcome", outcome);
  add(std::move(done));
} catch (...) {  // no memory: an event less
}

void PoolTrace::worker_ended(std::size_t place, pid_t pid, int status, std::string_view how) noexcept try {
  TraceEvent end = event(how, 'i', place);
  end.at(Trace::now()).arg("pid", pid).arg(status < 0 ? "signal" : "exitcode", status < 0 ? -status : status);
  add(std::move(end));
} catch (...) {  // no memory: an event less
}

void PoolTrace::cancelled(const Job& job, std::size_t calls) noexcept try {
  TraceEvent event("cancel", 'i', ::getpid(), static_cast<std::uint32_t>(::getpid()));
  event.at(Trace::now()).arg("function", job.function()).arg("count", static_cast<std::int64_t>(calls));
  add(std::move(event));
} catch (...) {  // no memory: an event less
}

void PoolTrace::broken(std::string_view why) noexcept try {
  TraceEvent event("pool broken", 'i', ::getpid(), static_cast<std::uint32_t>(::getpid()));
  event.at(Trace::now()).arg("why", why);
  add(std::move(event));
} catch (...) {  // no memory: an event less
}

void PoolTrace::flush() noexcept { Trace::flush_current(); }

void PoolTrace::flush_if_due() noexcept {
  if (Trace* const trace = Trace::current()) trace->flush_if_due();
}

}  // namespace multiprocessing::pool
