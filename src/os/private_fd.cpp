#include "os/private_fd.hpp"

#include <unistd.h>

#include <mutex>

#include "os/programs.hpp"

namespace multiprocessing::os {
namespace {

constinit std::mutex no_forks;
constinit PrivateFd* first = nullptr;

}  // namespace

struct PrivateFd::AtFork {
  static void close_copies() noexcept {
    for (PrivateFd* one = std::exchange(first, nullptr); one != nullptr;) {
      ::close(std::exchange(one->fd_, -1));
      one->listed_ = false;
      one = one->next_;
    }
    no_forks.unlock();  // this thread is the one that forked
  }
  static const int registered;
};
[[maybe_unused]] const int PrivateFd::AtFork::registered =
    at_fork([] { no_forks.lock(); }, [] { no_forks.unlock(); }, close_copies);

PrivateFd::NoForks::NoForks() { no_forks.lock(); }
PrivateFd::NoForks::~NoForks() { no_forks.unlock(); }

void PrivateFd::list() noexcept {
  listed_ = true;
  previous_ = nullptr;
  next_ = std::exchange(first, this);
  if (next_ != nullptr) next_->previous_ = this;
}

void PrivateFd::unlist() noexcept {
  if (!std::exchange(listed_, false)) return;
  (previous_ != nullptr ? previous_->next_ : first) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

void PrivateFd::take(PrivateFd& other) noexcept {
  const NoForks now;
  if (other.listed_) {
    other.unlist();
    list();
  }
  fd_ = std::exchange(other.fd_, -1);
}

void PrivateFd::reset() noexcept {
  if (fd_ < 0) return;
  const NoForks now;
  unlist();
  ::close(std::exchange(fd_, -1));
}

void PrivateFd::share() noexcept {
  const NoForks now;
  unlist();
}

base::Fd PrivateFd::release() noexcept {
  share();
  return base::Fd(std::exchange(fd_, -1));
}

}  // namespace multiprocessing::os
