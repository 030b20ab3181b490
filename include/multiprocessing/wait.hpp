// wait: which of these connections, queues and descriptors are ready, as Python's multiprocessing.connection.wait.
//
//   auto ready = mp::wait({left, p.sentinel(), queue}, 5s);   // positions in the list, in order; empty: 5 s are over
//   for (std::size_t i : mp::wait({left, right})) …           // waits for ever
//
//   std::vector<mp::Waitable> sources{left, right};           // any number of them
//   auto some = mp::wait(sources, 100ms);
//
// Ready is what one can take from without waiting: a connection with a message, a queue with an item, a descriptor that
// polls readable (the sentinel of a process that has ended, a socket, a pipe).  The end of file and a closed queue are
// ready too.  Nothing is taken: whoever else reads from the same thing may be faster.
//
// Threads: safe from any thread.  Only queues, or only connections and descriptors: the calling thread waits by itself.
// A mixture makes use of Queue::fileno(), hence of its thread.
// Errors: OsError with EBADF for a closed connection (also one that is closed meanwhile) or descriptor.
#pragma once

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/detail/byte_queue.hpp"
#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/queue.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

// What wait() waits for; holds the connection or the queue, but not a bare descriptor.
class Waitable {
 public:
  Waitable(const Connection& connection) : link_(connection.link_) {}                           // NOLINT: implicit
  Waitable(int fd) noexcept : fd_(fd) {}                                                        // NOLINT
  Waitable(const Descriptor& descriptor) noexcept : held_(descriptor.fd_), fd_(held_.get()) {}  // NOLINT
  template <class T>
  Waitable(const Queue<T>& queue) : queue_(queue.queue_) {}  // NOLINT

  template <class T>
  Waitable(const SimpleQueue<T>& queue) : Waitable(queue.queue_) {}  // NOLINT

  // For wait().  The queue, or null.
  [[nodiscard]] const channel::ByteQueue* queue() const noexcept { return queue_ ? &*queue_ : nullptr; }
  // For wait(), with what was polled: there is something to take.
  [[nodiscard]] bool ready(bool descriptor_readable) const {
    return link_ != nullptr ? link_->ready(descriptor_readable) : descriptor_readable;
  }
  [[nodiscard]] bool looks_inside() const noexcept { return link_ != nullptr && link_->looks_inside(); }
  // What to poll; valid while `held` lives, where it is set.  Throws OsError with EBADF when it is closed.
  [[nodiscard]] int descriptor(detail::SharedFd& held) const {
    if (queue_) return queue_->descriptor();
    if (fd_ >= 0) return fd_;
    if (link_ == nullptr) channel::throw_closed_connection("wait");
    held = link_->descriptor();
    return held.get();
  }

 private:
  std::shared_ptr<channel::Link> link_;
  std::optional<channel::ByteQueue> queue_;
  detail::SharedFd held_;
  int fd_ = -1;
};

namespace channel {
[[nodiscard]] std::vector<std::size_t> wait_until(std::span<const Waitable> these, Deadline deadline);
}  // namespace channel

[[nodiscard]] inline std::vector<std::size_t> wait(std::initializer_list<Waitable> these) {
  return channel::wait_until({these.begin(), these.size()}, detail::Deadline::never());
}
template <class Rep, class Period>
[[nodiscard]] std::vector<std::size_t> wait(std::initializer_list<Waitable> these,
                                            std::chrono::duration<Rep, Period> patience) {
  return channel::wait_until({these.begin(), these.size()}, detail::Deadline::after(patience));
}
[[nodiscard]] inline std::vector<std::size_t> wait(const std::vector<Waitable>& these) {
  return channel::wait_until(these, detail::Deadline::never());
}
template <class Rep, class Period>
[[nodiscard]] std::vector<std::size_t> wait(const std::vector<Waitable>& these,
                                            std::chrono::duration<Rep, Period> patience) {
  return channel::wait_until(these, detail::Deadline::after(patience));
}

}  // namespace multiprocessing

#pragma GCC visibility pop
