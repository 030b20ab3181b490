// SharedFd: a file descriptor that is closed with its last owner in this process.
//
// Threads: copies are independent; one SharedFd is like an int.  Fork: the child owns copies of its own.
#pragma once

#include <memory>

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::detail {

class SharedFd {
 public:
  SharedFd() noexcept = default;
  explicit SharedFd(int fd);  // takes it over, also when it throws
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ != nullptr; }
  [[nodiscard]] int get() const noexcept { return fd_ != nullptr ? *fd_ : -1; }

 private:
  std::shared_ptr<const int> fd_;  // part of what closes it
};

}  // namespace multiprocessing::detail

#pragma GCC visibility pop
