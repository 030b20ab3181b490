// LocalPort: where the calls of the server's own family come in, through channels (channel.hpp).  One thread, the leader,
// serves them; the loop hears of clients that have ended.
//
// The leader runs short code of the program (methods of own classes) itself: handing it to another thread costs ten times
// as much as most of it takes.  What takes longer than a millisecond or two loses the lead: the loop, which looks while
// there is such code, has another thread take over.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <unordered_map>

#include "base/fd.hpp"
#include "manager/channel.hpp"
#include "manager/loop.hpp"
#include "manager/server.hpp"

namespace multiprocessing::managers {

class LocalCall;

class LocalPort {
 public:
  LocalPort(Server& server, Loop& loop, memory::Ref root);
  ~LocalPort();
  LocalPort(const LocalPort&) = delete;
  LocalPort& operator=(const LocalPort&) = delete;

  // Starts the first leader.  They serve until the server is to end, or the program wishes it.
  void start();
  // What nothing tells of: by the loop, now and then.
  void look_around();
  // Nothing is answered any more: everybody who waits is told.
  void end() noexcept;

 private:
  struct Client {
    SessionPtr session;
    base::Fd pidfd;
    std::uint64_t key = 0;  // in the loop; 0: it is looked for
    std::vector<std::size_t> places;
  };
  void lead(std::uint64_t number);
  void run_quick_jobs();
  void run_quick_job();
  [[nodiscard]] bool watch_leader();  // a tick of the loop; false: there is nothing to watch
  void take_over();

  [[nodiscard]] Root& root() const noexcept { return *static_cast<Root*>(root_ref_.address()); }
  void serve(std::size_t place);
  void serve_all();
  [[nodiscard]] bool know(std::size_t place, std::uint64_t id);
  void forget(std::size_t place) noexcept;
  Client& client_of(std::uint64_t member, pid_t pid);
  void client_has_gone(std::uint64_t member) noexcept;

  Server& server_;
  Loop& loop_;
  const memory::Ref root_ref_;
  std::unordered_map<std::uint64_t, Client> clients_;  // by member
  std::array<std::shared_ptr<LocalCall>, most_channels> calls_;

  std::atomic<std::uint64_t> leader_{0};  // which one serves
  // Code of the program that a leader is running.  The loop compares: the same job at two ticks takes too long.
  std::atomic<std::uint64_t> running_{0};  // which leader; 0: none
  std::atomic<std::uint64_t> jobs_{0};     // so far
  std::uint64_t jobs_seen_ = 0;            // by the loop
};

}  // namespace multiprocessing::managers
