// Reception: strangers at a Door become guests, or are sent away; nobody waits for anybody else.
//
//   Reception reception(door, options);
//   while (!guest) guest = reception.step(deadline);     // one poll over the door and all who are being asked
//
// Invariants
//   1. A stranger costs a descriptor and a Wire before its proof: less than a kilobyte (some 100 with TLS), and 64 of
//      them are there at the most.  Each has handshake_timeout in all, a fifth of it when there is no free place.
//   2. Of a Unix socket, a process of another user is sent away before its first byte is read.
//   3. Nothing that a stranger does is thrown: it is logged, once for each, and the next one comes.
//   4. When descriptors or memory run out the door is left alone for a tenth of a second; who waits there keeps waiting.
// Threads: one at a time.  Fork: forget() in the child, which has no copies of the strangers' sockets.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "multiprocessing/detail/deadline.hpp"
#include "os/private_fd.hpp"
#include "wire/door.hpp"
#include "wire/wire.hpp"

namespace multiprocessing::wire {

inline constexpr std::size_t most_strangers = 64;

struct ReceptionOptions {
  std::string key{};
  std::uint64_t max_message = default_max_message;
  std::chrono::milliseconds handshake_timeout{5000};
  bool any_user = false;  // of the machine, on a Unix socket
  bool always_tls = false;
  std::shared_ptr<const TlsContext> tls{};  // null: a Unix socket
};

struct Guest {
  os::PrivateFd socket;
  std::unique_ptr<Wire> wire;  // established, nothing outgoing
  std::string name;            // for messages
};

enum class Admits {
  everybody,
  those_here,  // who is being asked by now; nobody is let in to be asked
  nobody,      // as those_here, and who has passed stays here
};

class Reception {
 public:
  Reception(const Door& door, ReceptionOptions options);

  // Waits until something has happened, or the deadline.
  [[nodiscard]] std::optional<Guest> step(detail::Deadline deadline, Admits admits = Admits::everybody);
  void forget() noexcept { strangers_.clear(); }
  [[nodiscard]] std::size_t strangers() const noexcept { return strangers_.size(); }

 private:
  struct Stranger : Guest {
    detail::Deadline::Clock::time_point since;
    [[nodiscard]] bool has_passed() const noexcept { return wire->established() && wire->outgoing().empty(); }
  };
  void take_from_door();
  void let_in(os::PrivateFd socket, const os::SocketAddress& peer);
  void attend(Stranger& stranger);
  void send_away(Stranger& stranger, const std::string& reason) noexcept;
  [[nodiscard]] std::chrono::milliseconds patience() const noexcept;
  [[nodiscard]] detail::Deadline next_look(detail::Deadline deadline) const noexcept;
  void expire();
  [[nodiscard]] std::optional<Guest> first_guest();

  const Door& door_;
  ReceptionOptions options_;
  std::vector<Stranger> strangers_;
  detail::Deadline door_shut_until_ = detail::Deadline::passed();
};

// Reads and writes, without waiting, what the handshake still needs.  True: established, all said.  Throws what
// Wire::received() throws; EndOfFile when the other side is gone; OsError.
[[nodiscard]] bool shake_hands(int socket, Wire& wire);

}  // namespace multiprocessing::wire
