#include <string.h>

#include <utility>

#include "multiprocessing/pool_errors.hpp"

namespace multiprocessing {
namespace {

std::string death_text(pid_t pid, int status, const std::string& task) {
  std::string text = "worker " + std::to_string(pid) + " died";
  if (status < 0) {
    const char* name = ::sigdescr_np(-status);
    text += " of signal " + std::to_string(-status) + (name != nullptr ? std::string(" (") + name + ")" : "");
  } else {
    text += " with exit code " + std::to_string(status);
  }
  return task.empty() ? text : text + " while it ran " + task;
}

}  // namespace

WorkerDied::WorkerDied(pid_t pid, int status, std::string task)
    : Error(death_text(pid, status, task)), pid_(pid), status_(status), task_(std::move(task)) {}

std::optional<int> WorkerDied::signal() const noexcept { return status_ < 0 ? std::optional(-status_) : std::nullopt; }

std::optional<int> WorkerDied::exit_code() const noexcept {
  return status_ >= 0 ? std::optional(status_) : std::nullopt;
}

RemoteError::RemoteError(std::string type_name, const std::string& text, std::string traceback, pid_t pid)
    : Error(text), type_name_(std::move(type_name)), traceback_(std::move(traceback)), pid_(pid) {}

}  // namespace multiprocessing
