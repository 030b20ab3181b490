// What a task of a Pool can end with, other than its result.
//
//   try { pool.apply(parse, file); }
//   catch (const mp::WorkerDied& death) { … death.signal(), death.task() … }
//   catch (const mp::RemoteError& error) { … error.type_name() … }
//
// All are Errors (errors.hpp) and copyable.  A standard exception of a task arrives as its own type with a RemoteError
// nested in it; anything else as RemoteError.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "multiprocessing/errors.hpp"

namespace multiprocessing {

// The worker that ran the task died.  What the task had done by then is done; it is not run again.
class WorkerDied : public Error {
 public:
  WorkerDied(pid_t pid, int status, std::string task);  // status: exit code, or -signal
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] std::optional<int> signal() const noexcept;     // if a signal killed it
  [[nodiscard]] std::optional<int> exit_code() const noexcept;  // if it ended by itself
  [[nodiscard]] const std::string& task() const noexcept { return task_; }
  [[nodiscard]] const std::string& stack() const noexcept { return stack_; }  // of the crash; empty: not known

 private:
  pid_t pid_;
  int status_;
  std::string task_;
  std::string stack_;
};

// The task ran past its timeout; its worker was killed for it.
class TaskTimeout : public Error {
 public:
  using Error::Error;
};

// The task wanted more memory than its worker may have (PoolOptions::memory_limit).
class MemoryLimitExceeded : public Error {
 public:
  using Error::Error;
};

// An exception of a task, as it was in the worker.  what() is its text.
class RemoteError : public Error {
 public:
  RemoteError(std::string type_name, const std::string& text, std::string traceback, pid_t pid);
  [[nodiscard]] const std::string& type_name() const noexcept { return type_name_; }
  [[nodiscard]] const std::string& traceback() const noexcept { return traceback_; }  // empty: not known
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

 private:
  std::string type_name_;
  std::string traceback_;
  pid_t pid_;
};

// The pool can run nothing any more; what() says why.  Make a new one.
class PoolBroken : public Error {
 public:
  using Error::Error;
};

}  // namespace multiprocessing
