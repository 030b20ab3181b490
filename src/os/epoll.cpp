#include <sys/epoll.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "os/faults.hpp"
#include "os/os.hpp"

namespace multiprocessing::os {
namespace {

constexpr std::size_t most_events = 64;

int result(int value) noexcept { return value < 0 ? -errno : value; }

// Rounded up: a wait that ends too early would be repeated without sleeping.
int milliseconds_until(Deadline deadline) noexcept {
  if (deadline.is_never()) return -1;
  const auto now = Deadline::Clock::now();
  if (deadline.when() <= now) return 0;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.when() - now).count();
  return static_cast<int>(std::min<std::int64_t>(left, 60'000));
}

}  // namespace

int epoll_create() noexcept {
  if (const int error = injected(Call::epoll)) return -error;
  return result(::epoll_create1(EPOLL_CLOEXEC));
}

int epoll_set(int epoll, int fd, std::uint64_t key, bool for_reading, bool for_writing) noexcept {
  if (const int error = injected(Call::epoll)) return -error;
  epoll_event event{};
  event.events = (for_reading ? EPOLLIN | EPOLLRDHUP : 0U) | (for_writing ? EPOLLOUT : 0U);
  event.data.u64 = key;
  const int outcome = result(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
  return outcome == -EEXIST ? result(::epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event)) : outcome;
}

int epoll_remove(int epoll, int fd) noexcept { return result(::epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr)); }

int epoll_wait(int epoll, std::span<Readiness> ready, Deadline deadline) noexcept {
  if (const int error = injected(Call::epoll)) return -error;
  epoll_event events[most_events];
  const int most = static_cast<int>(std::min(ready.size(), most_events));
  int count = 0;
  do {
    count = result(::epoll_wait(epoll, events, most, milliseconds_until(deadline)));
  } while (count == -EINTR);
  for (int i = 0; i < count; ++i) {
    ready[static_cast<std::size_t>(i)] = {events[i].data.u64, (events[i].events & ~std::uint32_t{EPOLLOUT}) != 0,
                                          (events[i].events & EPOLLOUT) != 0};
  }
  return count;
}

}  // namespace multiprocessing::os
