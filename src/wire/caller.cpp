#include "wire/caller.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <stdexcept>
#include <utility>

#include "base/error.hpp"
#include "multiprocessing/errors.hpp"
#include "os/os.hpp"

namespace multiprocessing::wire {

void require_key(const Address& address, const std::string& key, bool any_user) {
  require_good_key(key);
  if (!key.empty()) return;
  if (address.kind == Address::Kind::network) {
    throw std::invalid_argument(
        "a network address needs an authkey: without one every user of this machine, and of others,"
        " could connect; a Unix socket (unix:///path) of this user needs none");
  }
  if (any_user) throw std::invalid_argument("any_user needs an authkey");
}

Guest call(std::string_view address, const std::string& key, detail::Deadline deadline, const CallerOptions& options) {
  const Address where = Address::parse(address);
  require_key(where, key, options.any_user);
  if (where.kind == Address::Kind::local && where.path.empty()) {
    throw std::invalid_argument("connect: an address with a path is needed: unix:///path");
  }
  os::SocketAddress at;
  Guest guest;
  guest.name = address;
  guest.socket = connect(where, deadline, at);
  Options made{.key = key, .max_message = options.max_message, .host = where.host};
  if (where.kind == Address::Kind::local) {
    uid_t user = 0;
    const int outcome = os::peer_user(guest.socket.get(), user);
    if (outcome < 0) base::throw_os_error("SO_PEERCRED", address, -outcome);
    if (user != ::geteuid() && !options.any_user) {
      throw AuthenticationError("the listener at " + std::string(address) + " is a process of user " +
                                std::to_string(user) + " (.any_user allows it)");
    }
  } else if (where.always_tls || !options.tls.empty() || !is_on_this_machine(at)) {
    made.security = Security::tls;
    made.tls = std::make_shared<TlsContext>(Role::client, made.key, options.tls);
  }
  guest.wire = std::make_unique<Wire>(Role::client, std::move(made));
  while (!shake_hands(guest.socket.get(), *guest.wire)) {
    if (deadline.is_over()) base::throw_os_error("connect: the handshake with", address, ETIMEDOUT);
    pollfd look{guest.socket.get(), static_cast<short>(guest.wire->outgoing().empty() ? POLLIN : POLLOUT), 0};
    const int outcome = os::poll({&look, 1}, deadline);
    if (outcome < 0 && outcome != -EINTR) base::throw_os_error("poll", address, -outcome);
  }
  return guest;
}

}  // namespace multiprocessing::wire
