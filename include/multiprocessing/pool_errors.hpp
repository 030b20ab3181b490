// What a task of a Pool can end with, other than its result.
//
//   try { pool.apply(parse, file); }
//   catch (const mp::WorkerDied& death) { … death.signal(), death.task() … }
//   catch (const mp::RemoteError& error) { … error.type_name() … }
//
// All are Errors (errors.hpp) and copyable.  A standard exception of a task arrives as its own type with a RemoteError
// nested in it, and so does a type of register_exception.hpp; anything else as RemoteError.  What was nested in the
// exception itself is nested in its RemoteError, so std::rethrow_if_nested() walks on to the causes.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "multiprocessing/errors.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace crash {
class Stack;
}

// The worker that ran the task died.  What the task had done by then is done; it is not run again.
//
// stack() is where it crashed, a line for each call, innermost first:
//
//   signal 11 (Segmentation fault) at address 0x8
//   #0 depth(Node const*) at /home/me/tree.cpp:12
//   #1 solve(Problem const&) at /home/me/tasks.cpp:30
//
// Lines need debug information (-g), names at least the symbols.  Empty: the worker was killed, or has ended by itself.
// what() names the first of these that is the program's own.  Names are looked up at the first call of either, which
// may take a tenth of a second.
class WorkerDied : public Error {
 public:
  // status: exit code, or -signal
  WorkerDied(pid_t pid, int status, std::string task, std::shared_ptr<const crash::Stack> stack = nullptr);
  [[nodiscard]] const char* what() const noexcept override;
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] std::optional<int> signal() const noexcept;     // if a signal killed it
  [[nodiscard]] std::optional<int> exit_code() const noexcept;  // if it ended by itself
  [[nodiscard]] const std::string& task() const noexcept { return task_; }
  [[nodiscard]] std::string stack() const;

 private:
  pid_t pid_;
  int status_;
  std::string task_;
  std::shared_ptr<const crash::Stack> stack_;
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
//
// traceback() is the stack of the task at the throw, in the form of WorkerDied::stack().  Of an exception that the task
// has caught and thrown on it is the stack there; a cause (std::nested_exception) has none.
class RemoteError : public Error {
 public:
  RemoteError(std::string type_name, const std::string& text, std::string traceback, pid_t pid);
  RemoteError(std::string type_name, const std::string& text, std::shared_ptr<const crash::Stack> stack, pid_t pid);
  [[nodiscard]] const std::string& type_name() const noexcept { return type_name_; }
  [[nodiscard]] std::string traceback() const;  // empty: not known
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

 private:
  std::string type_name_;
  std::string traceback_;
  std::shared_ptr<const crash::Stack> stack_;
  pid_t pid_;
};

// The pool can run nothing any more; what() says why.  Make a new one.
class PoolBroken : public Error {
 public:
  using Error::Error;
};

}  // namespace multiprocessing

#pragma GCC visibility pop
