#include "multiprocessing/detail/shared_fd.hpp"

#include <unistd.h>

#include <new>

namespace multiprocessing::detail {
namespace {

struct Owned {
  explicit Owned(int number) noexcept : fd(number) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { ::close(fd); }
  int fd;
};

}  // namespace

SharedFd::SharedFd(int fd) {
  try {
    const auto owned = std::make_shared<const Owned>(fd);
    fd_ = {owned, &owned->fd};
  } catch (const std::bad_alloc&) {
    ::close(fd);
    throw;
  }
}

}  // namespace multiprocessing::detail
