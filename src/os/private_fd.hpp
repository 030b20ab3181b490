// PrivateFd owns a descriptor of which no forked child keeps a copy, until it is shared.
//
// A child has copies of all descriptors, and a socket is closed with the last of them: when this process closes its own,
// or is killed, and a child of it lives on, the other end would never hear of it.  (SOCK_CLOEXEC does the same where
// another program is executed.)
//
// Invariants
//   1. Opening and closing exclude forks: a child finds each of these descriptors in the list, and no other.
//   2. In the child the objects are empty, wherever they are.
// Threads: each object by one at a time.
#pragma once

#include <utility>

#include "base/fd.hpp"

namespace multiprocessing::os {

class PrivateFd {
 public:
  PrivateFd() = default;
  PrivateFd(PrivateFd&& other) noexcept { take(other); }
  PrivateFd& operator=(PrivateFd&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  ~PrivateFd() { reset(); }

  // Owns the descriptor that `make` returns, and returns 0, or the negative errno of `make`.  It must not wait: forks do.
  template <class Make>
  [[nodiscard]] int open(Make make) {
    reset();
    const NoForks no_forks;
    fd_ = make();
    if (fd_ >= 0) list();
    return fd_ >= 0 ? 0 : std::exchange(fd_, -1);
  }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
  void reset() noexcept;
  void share() noexcept;  // children that are forked from now on keep their copies, and their objects
  [[nodiscard]] base::Fd release() noexcept;  // shared, too

 private:
  class NoForks {
   public:
    NoForks();
    ~NoForks();
    NoForks(const NoForks&) = delete;
    NoForks& operator=(const NoForks&) = delete;
  };
  struct AtFork;
  void take(PrivateFd& other) noexcept;
  void list() noexcept;
  void unlist() noexcept;

  int fd_ = -1;
  bool listed_ = false;
  PrivateFd* next_ = nullptr;
  PrivateFd* previous_ = nullptr;
};

}  // namespace multiprocessing::os
