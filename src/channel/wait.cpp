// wait(): looks at everything, sleeps until something may have changed, looks again.
//
// Whether a queue is ready is asked of the queue.  Its descriptor, which follows with the delay of a thread, only wakes
// the sleeper; when it says "readable" of a queue that is not any more, the sleeper gives that thread a millisecond.
#include "multiprocessing/wait.hpp"

#include <poll.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "channel/queue_watch.hpp"
#include "os/os.hpp"

namespace multiprocessing::channel {
namespace {

constexpr std::chrono::milliseconds look_again{100};  // at connections that another thread may close
constexpr std::chrono::milliseconds stale{1};

class Wait {
 public:
  explicit Wait(std::span<const Waitable> these) : these_(these), ready_(these.size()) {
    for (const Waitable& one : these_) {
      if (one.queue() != nullptr) queues_.push_back(one.queue());
      looks_inside_ = looks_inside_ || one.looks_inside();
    }
  }

  std::vector<std::size_t> run(Deadline deadline) {
    if (queues_.empty()) return run_descriptors(deadline);
    for (bool woken = false;;) {
      const std::vector<std::size_t> found = look();
      if (!found.empty() || deadline.is_over()) return found;
      woken = sleep(deadline, woken);
    }
  }

 private:
  [[nodiscard]] bool only_queues() const noexcept { return queues_.size() == these_.size(); }

  std::vector<std::size_t> run_descriptors(Deadline deadline) {
    // Messages of a connection over a socket may be in memory, where no descriptor tells of them.
    Deadline sleep = looks_inside_ ? Deadline::passed() : deadline.at_most(look_again);
    for (;;) {
      collect_descriptors(false);
      poll(sleep);
      const std::vector<std::size_t> found = positions();
      if (!found.empty() || deadline.is_over()) return found;
      sleep = deadline.at_most(look_again);
    }
  }

  // The positions that are ready now.
  std::vector<std::size_t> look() {
    collect_descriptors(false);
    poll(Deadline::passed());
    return positions();
  }

  std::vector<std::size_t> positions() const {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < these_.size(); ++i) {
      const ByteQueue* queue = these_[i].queue();
      if (queue != nullptr ? queue->ready() : these_[i].ready(ready_[i] != 0)) found.push_back(i);
    }
    return found;
  }

  // True: something said that it is ready.  `woken`: that was so before, and nothing was.
  bool sleep(Deadline deadline, bool woken) {
    if (only_queues()) {
      sleep_on_queues(queues_, deadline);
      return false;
    }
    collect_descriptors(!woken);
    return poll(deadline.at_most(woken ? stale : look_again)) && !woken;
  }

  void collect_descriptors(bool with_queues) {
    fds_.clear();
    at_.clear();
    held_.clear();
    for (std::size_t i = 0; i < these_.size(); ++i) {
      if (these_[i].queue() != nullptr && !with_queues) continue;
      detail::SharedFd held;
      const int fd = these_[i].descriptor(held);
      if (held) held_.push_back(std::move(held));
      fds_.push_back({fd, POLLIN, 0});
      at_.push_back(i);
    }
  }

  bool poll(Deadline deadline) {
    if (fds_.empty() && deadline.is_over()) return false;
    const int outcome = os::poll(fds_, deadline);
    if (outcome < 0 && outcome != -EINTR) base::throw_os_error("poll", "wait", -outcome);
    for (std::size_t i = 0; i < fds_.size(); ++i) {
      ready_[at_[i]] = outcome > 0 && fds_[i].revents != 0;
      if (outcome > 0 && (fds_[i].revents & POLLNVAL) != 0) {
        base::throw_os_error("wait for descriptor", std::to_string(fds_[i].fd), EBADF);
      }
    }
    return outcome > 0;
  }

  std::span<const Waitable> these_;
  std::vector<const ByteQueue*> queues_;
  bool looks_inside_ = false;
  std::vector<pollfd> fds_;
  std::vector<std::size_t> at_;         // position of each descriptor
  std::vector<detail::SharedFd> held_;  // those of connections: another thread may close them meanwhile
  std::vector<char> ready_;             // of each position, when it was polled last
};

}  // namespace

std::vector<std::size_t> wait_until(std::span<const Waitable> these, Deadline deadline) {
  if (these.empty()) return {};
  return Wait(these).run(deadline);
}

}  // namespace multiprocessing::channel
