// Address: where a Listener listens and a Client goes, as text and as the kernel has it.
//
//   unix:///run/user/1000/jobs        a Unix socket; "unix://" alone: a new name that nobody else can reach
//   tcp://127.0.0.1:5000              port 0: any; [::1] for IPv6; TLS unless it is the loopback interface
//   tls://127.0.0.1:5000              the same, always with TLS
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "os/sockets.hpp"

namespace multiprocessing::wire {

struct Address {
  enum class Kind : std::uint8_t { local, network };

  // Throws std::invalid_argument; the text says what an address looks like.
  static Address parse(std::string_view text);

  // Asks the system's resolver, which may take its time.  Throws Error when there is no such host.
  [[nodiscard]] std::vector<os::SocketAddress> resolve(bool to_listen) const;

  Kind kind = Kind::local;
  bool always_tls = false;
  std::string path{};  // of a local one
  std::string host{};  // of a network's
  std::uint16_t port = 0;
};

// Cannot be reached from another machine: a local one, or the loopback interface.
[[nodiscard]] bool is_on_this_machine(const os::SocketAddress& address) noexcept;
[[nodiscard]] std::string text_of(const os::SocketAddress& address, bool always_tls = false);

}  // namespace multiprocessing::wire
