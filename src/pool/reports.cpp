// What the log and the trace are told of a pool.
//
// REQUIRES (all of this file): mutex_ held.
#include <string>

#include "base/log.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool_errors.hpp"
#include "pool/core.hpp"
#include "process/report.hpp"

namespace multiprocessing::pool {
namespace {

std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

// Why a worker was killed, or that nobody did it.
std::string_view name_of(Cause cause) {
  switch (cause) {
    case Cause::none:
    case Cause::damaged:
      return "death";
    case Cause::cancelled:
      return "cancel";
    case Cause::timed_out:
      return "timeout";
    case Cause::out_of_memory:
      return "memory limit";
  }
  return "death";
}

Cause cause_of(const Place& place) { return Doom::of(place.doom.load(std::memory_order_acquire)).cause; }

}  // namespace

void Core::report_start(std::size_t place) noexcept {
  const pid_t pid = control_->places[place].pid.load();
  if (workers_[place].replaces) {
    base::log(LogLevel::info, "worker ", pid, " takes the place of one that has ended");
  } else {
    base::log(LogLevel::debug, "added worker ", pid);
  }
  if (trace_ != nullptr) trace_->worker_runs(place, pid);
}

void Core::report_result(std::size_t place, const Sent& sent, const Received& received) noexcept {
  const bool raised = (received.flags & (failed | threw)) != 0;
  const char* const outcome = sent.cancelled ? "cancel" : raised ? "exception" : "done";
  trace_->task_ran(place, control_->places[place].pid.load(), sent.task, received.span, outcome);
}

// A task that went with its worker.
void Core::report_lost(std::size_t place, const Sent& sent, const std::exception_ptr& error) noexcept {
  const Place& shared = control_->places[place];
  const LogLevel level = sent.cancelled ? LogLevel::info : LogLevel::warning;
  try {
    if (base::logs(level)) base::log(level, text_of(error));
  } catch (...) {  // no memory: a line less
  }
  if (trace_ == nullptr) return;
  const Began began = Began::of(mailboxes_[place].began.load(std::memory_order_acquire));
  const bool known = began.us != 0 && began.task == static_cast<std::uint16_t>(workers_[place].first_number);
  const std::uint64_t now = process_::Trace::now();
  trace_->task_ran(place, shared.pid.load(), sent.task, {known ? began.us * 1000 : now, now},
                   sent.cancelled ? name_of(Cause::cancelled) : name_of(cause_of(shared)));
}

void Core::report_end(std::size_t place, bool in_order, bool had_begun) noexcept {
  const Place& shared = control_->places[place];
  const pid_t pid = shared.pid.load();
  const int status = shared.status.load();
  try {
    if (in_order) {
      base::log(LogLevel::debug, "worker ", pid, " has ended in order");
    } else if (!had_begun && base::logs(LogLevel::warning)) {  // what else there was to say, report_lost() has said
      base::log(LogLevel::warning, WorkerDied(pid, status, "").what());
    }
  } catch (...) {  // no memory: a line less
  }
  const std::string_view how = in_order ? (ending_ || ended_ ? "end" : "recycle") : name_of(cause_of(shared));
  if (trace_ != nullptr) trace_->worker_ended(place, pid, status, how);
}

void Core::report_broken() noexcept {
  try {
    const std::string text = text_of(broken_);
    base::log(LogLevel::error, text);
    if (trace_ != nullptr) trace_->broken(text);
  } catch (...) {  // no memory: it is told to every caller anyway
  }
}

}  // namespace multiprocessing::pool
