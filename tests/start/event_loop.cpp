// A host with a main loop as a toolkit's: one thread sleeps in epoll_wait and nowhere else, a second thread of the host is
// busy with locks of its own.  Results come as callbacks on the pool's thread and are handed over by an eventfd; the ends of
// processes, queues and connections are descriptors in the host's own set.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <multiprocessing/multiprocessing.hpp>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "host.hpp"

namespace mp = multiprocessing;

class Loop {
 public:
  Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    watch(event_, [this] { run_posted(); });
  }
  ~Loop() {
    ::close(event_);
    ::close(epoll_);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void watch(int fd, std::function<void()> ready) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    check(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0, "it can be watched");
    ready_[fd] = std::move(ready);
  }
  void forget(int fd) {
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    ready_.erase(fd);
  }
  // Any thread.
  void post(std::function<void()> work) {
    {
      const std::lock_guard lock(mutex_);
      posted_.push_back(std::move(work));
    }
    const std::uint64_t one = 1;
    check(::write(event_, &one, sizeof one) == sizeof one, "the loop is told");
  }
  void run_until(const std::function<bool()>& is_over) {
    while (!is_over()) {
      epoll_event event{};
      if (::epoll_wait(epoll_, &event, 1, -1) != 1) continue;
      const auto found = ready_.find(event.data.fd);
      if (found == ready_.end()) continue;
      const auto ready = found->second;  // it may forget itself
      ready();
    }
  }

 private:
  void run_posted() {
    std::uint64_t count = 0;
    check(::read(event_, &count, sizeof count) == sizeof count, "the event can be taken");
    std::vector<std::function<void()>> work;
    {
      const std::lock_guard lock(mutex_);
      work.swap(posted_);
    }
    for (const auto& each : work) each();
  }

  const int epoll_;
  const int event_;
  std::map<int, std::function<void()>> ready_;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
};

// Fires every millisecond.
class Timer {
 public:
  explicit Timer(Loop& loop) : loop_(loop), fd_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
    const itimerspec each{{0, 1'000'000}, {0, 1'000'000}};
    check(::timerfd_settime(fd_, 0, &each, nullptr) == 0, "the timer runs");
    loop_.watch(fd_, [this] {
      std::uint64_t times = 0;
      if (::read(fd_, &times, sizeof times) == sizeof times) ++ticks;
    });
  }
  ~Timer() {
    loop_.forget(fd_);
    ::close(fd_);
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  int ticks = 0;

 private:
  Loop& loop_;
  const int fd_;
};

// A thread of the host that a fork would find in the middle of something.
class BusyThread {
 public:
  BusyThread()
      : thread_([this] {
          while (!over_) {
            const std::lock_guard lock(mutex_);
            text_ = std::string(100, 'x');
          }
        }) {}
  ~BusyThread() {
    over_ = true;
    thread_.join();
  }
  BusyThread(const BusyThread&) = delete;
  BusyThread& operator=(const BusyThread&) = delete;

 private:
  std::atomic<bool> over_{false};
  std::mutex mutex_;
  std::string text_;
  std::thread thread_;
};

void child(mp::Queue<int> items, mp::Connection end) {
  for (int i = 0; i < 10; ++i) items.put(i);
  end.send(std::string("message"));
}

constexpr int tasks = 100;

// Results of tasks, one of which dies.
void check_results(mp::StartMethod method, Loop& loop) {
  mp::Pool pool = mp::get_context(method).pool(2);
  Timer timer(loop);
  const auto main_thread = std::this_thread::get_id();
  int sum = 0;
  int done = 0;
  int failed = 0;
  for (int i = 0; i < tasks; ++i) {
    pool.apply_async(
            [](int x) {
              if (x == 7) std::abort();
              return x;
            },
            i)
        .on_success([&, main_thread](int result) {
          check(std::this_thread::get_id() != main_thread, "callbacks are another thread's");
          loop.post([&sum, &done, result] { sum += result, ++done; });
        })
        .on_error([&](const std::exception_ptr&) { loop.post([&] { ++failed, ++done; }); });
  }
  loop.run_until([&] { return done == tasks && timer.ticks > 3; });
  check(failed == 1 && sum == tasks * (tasks - 1) / 2 - 7, "each task has its result, and only the guilty one fails");
}

void check_descriptors(mp::StartMethod method, Loop& loop) {
  const mp::Queue<int> items;
  auto [ours, theirs] = mp::Pipe({.duplex = false});
  mp::Process process = mp::get_context(method).process(child, items, std::move(theirs));
  process.start();
  int sum = 0;
  int messages = 0;
  bool is_at_end = false;
  bool has_ended = false;
  mp::Connection& end = ours;
  loop.watch(items.fileno(), [&] {
    while (const auto item = items.try_get()) sum += *item;
  });
  const int connection = end.fileno();
  loop.watch(connection, [&] {
    try {
      messages += end.recv<std::string>() == "message";
    } catch (const mp::EndOfFile&) {
      is_at_end = true;
      loop.forget(connection);
    }
  });
  const int sentinel = process.sentinel();
  loop.watch(sentinel, [&] {
    loop.forget(sentinel);
    process.join();
    has_ended = process.exitcode() == 0;
  });
  loop.run_until([&] { return sum == 45 && messages == 1 && is_at_end && has_ended; });
  loop.forget(items.fileno());
}

int main() {
  BusyThread busy;
  Loop loop;
  for (const auto method : mp::get_all_start_methods()) {
    for (int i = 0; i < 3; ++i) {
      check_results(method, loop);
      check_descriptors(method, loop);
    }
  }
  return EXIT_SUCCESS;
}
