// The exceptions of this library.
//
//   try { queue.put(item, 2s); }
//   catch (const mp::Full&) { … }          // one outcome
//   catch (const mp::Error& e) { … }       // anything this library reports
//
// Every exception derives from Error, itself a std::runtime_error.  Where Python has ValueError this library
// throws std::invalid_argument; where it has AssertionError or RuntimeError, std::logic_error.
// what() carries the operation, the object and, for a failed system call, the text of its errno.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A system call failed: "memfd_create 'arena': Cannot allocate memory".
class OsError : public Error {
 public:
  OsError(std::string_view operation, std::string_view object, int error);
  [[nodiscard]] const std::error_code& code() const noexcept { return code_; }

 private:
  std::error_code code_;
};

// Queues.
class Full : public Error {  // no room, or none within the time given
 public:
  using Error::Error;
};
class Empty : public Error {  // nothing there, or nothing within the time given
 public:
  using Error::Error;
};
class Closed : public Error {  // put after close(); get when closed and empty
 public:
  using Error::Error;
};

// Barriers.
class BrokenBarrier : public Error {  // a party died or gave up, or reset() or abort() was called
 public:
  using Error::Error;
};

// Connections.
class EndOfFile : public Error {  // recv: everything was received and nobody is left who could send
 public:
  using Error::Error;
};

class AuthenticationError : public Error {  // Listener, Client: the other side has no key, or another one
 public:
  using Error::Error;
};

// What can be sent.
class NotSendable : public Error {  // it cannot travel to another process: the text says what does
 public:
  using Error::Error;
};
class TypeMismatch : public Error {  // the bytes, or the object of that name, are of another type
 public:
  using Error::Error;
};

// Processes.
class DaemonicChildError : public Error {  // a daemon process tried to start a process
 public:
  using Error::Error;
};

// Pools.  What else a task can end with is in pool_errors.hpp.
class TimeoutError : public Error {  // AsyncResult::get(patience): not ready in time
 public:
  using Error::Error;
};
class Cancelled : public Error {  // the task was cancelled, or its pool terminated, before it had a result
 public:
  using Error::Error;
};

// Managers.
class ManagerDied : public Error {  // its server was shut down or killed, or the network to it is silent
 public:
  using Error::Error;
};

}  // namespace multiprocessing

#pragma GCC visibility pop
