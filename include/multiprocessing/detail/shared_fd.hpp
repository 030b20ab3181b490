// SharedFd: a file descriptor that is closed with its last owner in this process.
//
// Threads: copies are independent; one SharedFd is like an int.  Fork: the child owns copies of its own.
#pragma once

#include <unistd.h>

#include <memory>

namespace multiprocessing::detail {

class SharedFd {
 public:
  SharedFd() noexcept = default;
  explicit SharedFd(int fd)  // takes it over, also when it throws
      : fd_(owned(fd)) {}
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ != nullptr; }
  [[nodiscard]] int get() const noexcept { return fd_ != nullptr ? fd_->number() : -1; }

 private:
  class Owner {
   public:
    explicit Owner(int fd) noexcept : fd_(fd) {}
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() { ::close(fd_); }
    [[nodiscard]] int number() const noexcept { return fd_; }

   private:
    int fd_;
  };
  static std::shared_ptr<const Owner> owned(int fd) {
    try {
      return std::make_shared<const Owner>(fd);
    } catch (...) {
      ::close(fd);
      throw;
    }
  }

  std::shared_ptr<const Owner> fd_;
};

}  // namespace multiprocessing::detail
