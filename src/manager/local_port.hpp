// LocalPort: where the calls of the server's own family come in, through channels (channel.hpp).  A thread of its own
// serves them; the loop hears of clients that have ended.
#pragma once

#include <array>
#include <atomic>
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

  // Until the server is to end, or the program wishes it.
  void run();
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
  std::uint64_t last_session_ = 0;
};

}  // namespace multiprocessing::managers
