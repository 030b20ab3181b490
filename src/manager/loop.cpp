#include "manager/loop.hpp"

#include <array>
#include <chrono>

#include "base/error.hpp"
#include "os/os.hpp"
#include "sync/spin.hpp"

namespace multiprocessing::managers {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds busy_sweep{100};  // while something was done since the last
constexpr std::chrono::milliseconds idle_sweep{500};
constexpr std::chrono::milliseconds tick_time{1};
constexpr std::uint64_t alarm_key = 0;

}  // namespace

Loop::Loop(Server& server) : server_(server), epoll_(os::epoll_create()), alarm_(os::eventfd(false)) {
  if (!epoll_) base::throw_os_error("epoll_create", "manager", -epoll_.release());
  if (!alarm_) base::throw_os_error("eventfd", "manager", -alarm_.release());
  if (const int error = os::epoll_set(epoll_.get(), alarm_.get(), alarm_key, true, false); error < 0) {
    base::throw_os_error("epoll_ctl", "manager", -error);
  }
  server_.set_alarm([](void* loop) { static_cast<Loop*>(loop)->wake(); }, this);
}

Loop::~Loop() { server_.set_alarm(nullptr, nullptr); }

void Loop::wake() noexcept { os::set_event(alarm_.get(), true); }

void Loop::tick() noexcept {
  if (!ticking_ && !ticking_.exchange(true)) wake();
}

// Who begins something says so before it looks whether there are ticks: so one of the two sees the other.
void Loop::run_tick() {
  if (tick_()) return;
  ticking_ = false;
  if (tick_()) ticking_ = true;
}

std::uint64_t Loop::add(int fd, Handler handler) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t key = ++last_key_;
  watched_[key] = {fd, std::make_shared<Handler>(std::move(handler))};
  if (os::epoll_set(epoll_.get(), fd, key, true, false) == 0) return key;
  watched_.erase(key);
  return 0;
}

void Loop::change(std::uint64_t key, bool for_reading, bool for_writing) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = watched_.find(key);
  if (found != watched_.end()) os::epoll_set(epoll_.get(), found->second.fd, key, for_reading, for_writing);
}

void Loop::remove(std::uint64_t key) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = watched_.find(key);
  if (found == watched_.end()) return;
  os::epoll_remove(epoll_.get(), found->second.fd);
  watched_.erase(found);
}

// Looks a while before it sleeps: a client that waits for its answer asks again at once.
int Loop::wait(std::span<os::Readiness> ready, Deadline until) const noexcept {
  constexpr int system_call = 16;  // times the cost of a look at memory
  for (sync::Spin spin(system_call); spin.again();) {
    const int count = os::epoll_wait(epoll_.get(), ready, Deadline::passed());
    if (count == 0) continue;
    spin.paid_off();
    return count;
  }
  return os::epoll_wait(epoll_.get(), ready, until);
}

void Loop::run() {
  std::array<os::Readiness, 64> ready;
  auto next_sweep = Clock::now() + busy_sweep;
  auto next_tick = Clock::time_point::max();
  for (;;) {
    Deadline until = Deadline::at(next_sweep);
    {
      const std::lock_guard gate(server_.gate);
      if (server_.ending()) return;
      server_.expire(Clock::now());
      if (const auto deadline = server_.next_deadline(); deadline && *deadline < next_sweep) {
        until = Deadline::at(*deadline);
      }
    }
    if (!ticking_) {
      next_tick = Clock::time_point::max();
    } else if (next_tick == Clock::time_point::max()) {
      next_tick = Clock::now() + tick_time;
    }
    if (next_tick < until.when()) until = Deadline::at(next_tick);
    const int count = wait(ready, until);
    if (next_tick <= Clock::now()) {
      run_tick();
      next_tick = Clock::now() + tick_time;
    }
    for (int i = 0; i < count; ++i) {
      const os::Readiness& one = ready[static_cast<std::size_t>(i)];
      if (one.key == alarm_key) {
        os::set_event(alarm_.get(), false);
        continue;
      }
      std::shared_ptr<Handler> handler;  // it may remove itself
      {
        const std::lock_guard lock(mutex_);
        const auto found = watched_.find(one.key);
        if (found != watched_.end()) handler = found->second.handler;
      }
      if (handler != nullptr) (*handler)(one.readable, one.writable);
    }
    if (Clock::now() < next_sweep) continue;
    {
      const std::lock_guard gate(server_.gate);
      server_.sweep();
    }
    if (idle_) idle_();
    next_sweep = Clock::now() + (count > 0 ? busy_sweep : idle_sweep);
  }
}

}  // namespace multiprocessing::managers
