// The process that a Manager starts, from both sides.
//
//   died …                         what the others see
//   owner, before the fork          nothing
//   owner, later                    its pidfd wakes the server, which ends
//   server, before it serves        the constructor throws ManagerDied
//   server, later                   ManagerDied (channel.hpp)
#pragma once

#include <string>

#include "base/fd.hpp"
#include "manager/channel.hpp"
#include "manager/network_port.hpp"
#include "memory/family.hpp"
#include "multiprocessing/manager.hpp"
#include "process/child.hpp"

namespace multiprocessing::managers {

// What the server's process needs.
struct ServerPlan {
  memory::Ref root;
  base::Fd owner;     // pidfd
  NetworkOptions network;  // no address: none
  detail::Routine initializer;
};

// In the server's process, from its beginning to its end.
[[noreturn]] void serve(ServerPlan& plan) noexcept;

// In a process that is no copy of the owner.  Throws NotSendable, OsError.
[[nodiscard]] memory::Forked start_server_anew(StartMethod method, ServerPlan plan, const process_::Child& record);

class ServerProcess {
 public:
  explicit ServerProcess(ManagerOptions options);
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  ~ServerProcess();

  void shutdown(std::chrono::nanoseconds grace);
  [[nodiscard]] Object manager() const;
  [[nodiscard]] const std::string& address() const noexcept { return address_; }
  [[nodiscard]] pid_t pid() const noexcept { return forked_.pid; }

 private:
  void await_start();
  [[nodiscard]] Root& root() const noexcept { return *static_cast<Root*>(root_.address()); }

  memory::Ref root_;
  memory::Forked forked_;
  std::string name_;
  std::string address_;
  const pid_t owner_;
  bool ended_ = false;
};

}  // namespace multiprocessing::managers
