// Loop: the server's thread that waits: for descriptors, for deadlines of calls, for the end.
//
// Invariant: a descriptor leaves the loop before it is closed, for a forked child may have it open, and would keep it in
// the epoll set.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <unordered_map>

#include "base/fd.hpp"
#include "manager/server.hpp"
#include "os/os.hpp"

namespace multiprocessing::managers {

class Loop {
 public:
  explicit Loop(Server& server);  // throws OsError
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Until the server is to end.
  void run();
  void wake() noexcept;  // any thread
  // From now on on_tick() is called every millisecond, until it gives false.  Any thread.
  void tick() noexcept;

  // --- by handlers, which run in the loop's thread without the gate; and by others with the gate held
  using Handler = std::function<void(bool readable, bool writable)>;
  // 0: there is no room for another descriptor.  Else its key.
  [[nodiscard]] std::uint64_t add(int fd, Handler handler);
  void change(std::uint64_t key, bool for_reading, bool for_writing) noexcept;
  void remove(std::uint64_t key) noexcept;
  // Every time the loop looks for what has ended without telling: now and then.
  void when_idle(std::function<void()> handler) { idle_ = std::move(handler); }
  void on_tick(std::function<bool()> handler) { tick_ = std::move(handler); }

 private:
  struct Watched {
    int fd = -1;
    std::shared_ptr<Handler> handler;
  };
  void run_tick();
  [[nodiscard]] int wait(std::span<os::Readiness> ready, Deadline until) const noexcept;

  Server& server_;
  base::Fd epoll_;
  base::Fd alarm_;
  std::mutex mutex_;  // of what follows; after the gate
  std::unordered_map<std::uint64_t, Watched> watched_;
  std::uint64_t last_key_ = 0;
  std::function<void()> idle_;
  std::function<bool()> tick_;
  std::atomic<bool> ticking_{false};
};

}  // namespace multiprocessing::managers
