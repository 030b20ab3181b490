#include "pool/errors.hpp"

#include <signal.h>
#include <string.h>

#include <cstdio>
#include <utility>

#include "crash/stack.hpp"

namespace multiprocessing {
namespace {

std::string signal_text(int signal) {
  const char* const name = ::sigdescr_np(signal);
  return "signal " + std::to_string(signal) + (name != nullptr ? std::string(" (") + name + ")" : "");
}

std::string death_text(pid_t pid, int status, const std::string& task) {
  std::string text = "worker " + std::to_string(pid) + " died";
  text += status < 0 ? " of " + signal_text(-status) : " with exit code " + std::to_string(status);
  return task.empty() ? text : text + " while it ran " + task;
}

// Only what the kernel has raised for an instruction has an address.
std::string crash_text(const crash::Crash& crash) {
  if (crash.code <= 0 || crash.signal == SIGABRT || crash.signal == SIGSYS) return signal_text(crash.signal);
  char address[32];
  std::snprintf(address, sizeof address, " at address %#llx", static_cast<unsigned long long>(crash.address));
  return signal_text(crash.signal) + address;
}

}  // namespace

WorkerDied::WorkerDied(pid_t pid, int status, std::string task, std::shared_ptr<const crash::Stack> stack)
    : Error(death_text(pid, status, task)),
      pid_(pid),
      status_(status),
      task_(std::move(task)),
      stack_(std::move(stack)) {}

const char* WorkerDied::what() const noexcept {
  try {
    if (stack_ != nullptr) return stack_->what().c_str();
  } catch (...) {  // no memory for the names
  }
  return Error::what();
}

std::string WorkerDied::stack() const { return stack_ != nullptr ? stack_->text() : std::string(); }

std::optional<int> WorkerDied::signal() const noexcept { return status_ < 0 ? std::optional(-status_) : std::nullopt; }

std::optional<int> WorkerDied::exit_code() const noexcept {
  return status_ >= 0 ? std::optional(status_) : std::nullopt;
}

RemoteError::RemoteError(std::string type_name, const std::string& text, std::string traceback, pid_t pid)
    : Error(text), type_name_(std::move(type_name)), traceback_(std::move(traceback)), pid_(pid) {}

RemoteError::RemoteError(std::string type_name, const std::string& text, std::shared_ptr<const crash::Stack> stack,
                         pid_t pid)
    : Error(text), type_name_(std::move(type_name)), stack_(std::move(stack)), pid_(pid) {}

std::string RemoteError::traceback() const { return stack_ != nullptr ? stack_->text() : traceback_; }

namespace pool {

WorkerDied worker_died(pid_t pid, int status, const std::string& task, const crash::Report& report) {
  std::shared_ptr<const crash::Stack> stack;
  if (status < 0) {
    if (auto crash = crash::read_report(report, pid, -status)) {
      std::string heading = crash_text(*crash);
      stack =
          std::make_shared<crash::Stack>(std::move(crash->trace), death_text(pid, status, task), std::move(heading));
    }
  }
  return {pid, status, task, std::move(stack)};
}

}  // namespace pool
}  // namespace multiprocessing
