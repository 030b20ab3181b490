#include "channel/queue_watch.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/own_threads.hpp"
#include "channel/queue_layout.hpp"
#include "multiprocessing/errors.hpp"
#include "os/os.hpp"
#include "os/programs.hpp"
#include "os/signals_blocked.hpp"
#include "sync/event_count.hpp"

namespace multiprocessing::channel {
namespace {

using sync::EventCount;

// Where the kernel cannot wake us for each of the queues.
constexpr std::chrono::milliseconds without_waking{5};

QueueHeader& header_of(const ByteQueue& queue) { return *static_cast<QueueHeader*>(queue.ref().address()); }

bool is_ready(const ByteQueue& queue) noexcept {
  try {
    return queue.ready();
  } catch (const std::exception&) {
    return true;  // get() will say what is wrong
  }
}

// The words to sleep on, announced.
class Sleepers {
 public:
  void announce(EventCount& event) {
    const EventCount::Ticket ticket = event.prepare();
    waits_.push_back({&event.word(), ticket});
  }
  void add(std::atomic<std::uint32_t>& word, std::uint32_t expected) { waits_.push_back({&word, expected}); }
  void sleep(Deadline deadline) const noexcept {
    deadline = deadline.at_most(EventCount::look_again);
    int outcome = -ENOSYS;
    if (waits_.size() == 1) {
      outcome = os::futex_wait(*waits_[0].word, waits_[0].expected, deadline);
    } else if (waits_.size() <= os::most_futexes) {
      outcome = os::futex_wait_any(waits_, deadline);
    }
    if (outcome >= 0 || outcome == -EAGAIN || outcome == -EINTR || outcome == -ETIMEDOUT) return;
    os::poll({}, deadline.at_most(without_waking));
  }

 private:
  std::vector<os::FutexWait> waits_;
};

struct Watch {
  explicit Watch(const ByteQueue& watched) : queue(watched) {}
  ByteQueue queue;
  int fd = -1;  // -1: inherited over a fork, nobody has asked for it in this process
  os::FileIdentity identity;
  bool readable = false;

  [[nodiscard]] bool is_ours() const noexcept { return fd >= 0 && os::identity_of(fd) == identity; }
};

class Watcher {
 public:
  int watch(const ByteQueue& queue) {
    {
      const std::lock_guard lock(mutex_);
      const Watch* const watch = find(queue);
      if (watch != nullptr && watch->is_ours()) return watch->fd;
    }
    const bool ready = queue.ready();
    const int raw = os::eventfd(ready);
    if (raw < 0) base::throw_os_error("eventfd", "a queue", -raw);
    base::Fd fresh(raw);
    auto added = std::make_unique<Watch>(queue);
    const std::lock_guard lock(mutex_);
    Watch* watch = find(queue);
    if (watch != nullptr && watch->is_ours()) return watch->fd;
    watches_.reserve(watches_.size() + 1);
    start();
    if (watch == nullptr) watch = watches_.emplace_back(std::move(added)).get();
    watch->readable = ready;
    watch->identity = os::identity_of(raw);
    watch->fd = fresh.release();
    ring();
    return watch->fd;
  }

  void before_fork() noexcept { mutex_.lock(); }
  void in_parent() noexcept { mutex_.unlock(); }
  void in_child() noexcept {
    for (const auto& watch : watches_) {
      if (watch->is_ours()) ::close(watch->fd);
      watch->fd = -1;
    }
    running_ = false;
    mutex_.unlock();
  }

 private:
  Watch* find(const ByteQueue& queue) {
    for (const auto& watch : watches_) {
      if (watch->queue.ref() == queue.ref()) return watch.get();
    }
    return nullptr;
  }

  void start() {
    if (running_) return;
    const os::SignalsBlocked blocked;
    try {
      std::thread([this, own = base::OwnThread()] { run(); }).detach();
    } catch (const std::system_error& error) {
      base::throw_os_error("start a thread for", "the descriptor of a queue", error.code().value());
    }
    running_ = true;
  }

  void ring() noexcept {
    bell_.fetch_add(1, std::memory_order_release);
    os::futex_wake(bell_, 1);
  }

  void run() noexcept {
    for (bool more = true; more;) {
      try {
        more = round();
      } catch (const std::exception&) {  // no memory for the lists: look again
        os::poll({}, Deadline::after(without_waking));
      }
    }
  }

  // False: nothing is watched any more.
  bool round() {
    Sleepers sleepers;
    sleepers.add(bell_, bell_.load(std::memory_order_acquire));
    std::vector<Watch*> current;
    std::vector<std::unique_ptr<Watch>> gone;  // let go without the lock: that takes the arena's
    {
      const std::lock_guard lock(mutex_);
      collect(current, gone);
      running_ = !current.empty();
      if (!running_) return false;
    }
    bool settled = true;
    for (Watch* watch : current) settled = bring_up_to_date(*watch, sleepers) && settled;
    if (settled) sleepers.sleep(Deadline::never());
    return true;
  }

  void collect(std::vector<Watch*>& current, std::vector<std::unique_ptr<Watch>>& gone) {
    current.reserve(watches_.size());
    gone.reserve(watches_.size());
    for (auto& watch : watches_) {
      if (watch->queue.ref().use_count() > 1) {
        if (watch->fd >= 0) current.push_back(watch.get());
        continue;
      }
      if (watch->is_ours()) ::close(watch->fd);
      gone.push_back(std::move(watch));
    }
    std::erase(watches_, nullptr);
  }

  // False: it has changed meanwhile, look again before sleeping.
  bool bring_up_to_date(Watch& watch, Sleepers& sleepers) {
    QueueHeader& header = header_of(watch.queue);
    const bool ready = is_ready(watch.queue);
    set(watch, ready);
    if (ready && header.closed.load(std::memory_order_relaxed) != 0) return true;  // for good
    sleepers.announce(ready ? header.emptied : header.not_empty);
    return is_ready(watch.queue) == ready;
  }

  void set(Watch& watch, bool readable) {
    const std::lock_guard lock(mutex_);  // watch() may give it another descriptor
    if (watch.readable == readable || !watch.is_ours()) return;
    os::set_event(watch.fd, readable);
    watch.readable = readable;
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Watch>> watches_;
  bool running_ = false;
  std::atomic<std::uint32_t> bell_{0};
};

// Never destroyed: its thread may outlive the statics.  There before main and before any other static.
union Immortal {
  constexpr Immortal() : watcher() {}
  ~Immortal() {}
  Watcher watcher;
};
constinit Immortal immortal;
[[maybe_unused]] const int registered = os::at_fork(
    [] { immortal.watcher.before_fork(); }, [] { immortal.watcher.in_parent(); }, [] { immortal.watcher.in_child(); });

}  // namespace

int watch_queue(const ByteQueue& queue) { return immortal.watcher.watch(queue); }

int ByteQueue::descriptor() const { return watch_queue(*this); }

void sleep_on_queues(std::span<const ByteQueue* const> queues, Deadline deadline) {
  Sleepers sleepers;
  for (const ByteQueue* queue : queues) sleepers.announce(header_of(*queue).not_empty);
  for (const ByteQueue* queue : queues) {
    if (is_ready(*queue)) return;
  }
  sleepers.sleep(deadline);
}

}  // namespace multiprocessing::channel
