#include "multiprocessing/listener.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "base/error.hpp"
#include "channel/fork_lock.hpp"
#include "channel/wire_link.hpp"
#include "multiprocessing/errors.hpp"
#include "wire/caller.hpp"
#include "wire/reception.hpp"

namespace multiprocessing {
namespace channel {
namespace {

constexpr std::chrono::milliseconds look_again{100};

Connection connection_of(wire::Guest guest, WireLink::Options options) {
  detail::SharedFd fd(guest.socket.release().release());
  return Connection(std::make_shared<WireLink>(std::move(fd), std::move(guest.wire), std::move(options)));
}

}  // namespace

class ListenerCore {
 public:
  explicit ListenerCore(ListenerOptions options)
      : options_(std::move(options)),
        where_(checked(options_)),
        door_(where_, options_.backlog, options_.any_user),
        reception_(door_, reception_options()) {
    door_.share();
  }
  ListenerCore(const ListenerCore&) = delete;
  ListenerCore& operator=(const ListenerCore&) = delete;

  // One thread at a time; the next one has its turn when that has its connection.
  std::optional<Connection> accept(Deadline deadline) {
    const auto turn = take_turn();
    for (;;) {
      if (auto connection = step(deadline, wire::Admits::everybody)) return connection;
      if (deadline.is_over()) return std::nullopt;
    }
  }
  std::optional<Connection> drain() {
    const auto turn = take_turn();
    while (reception_.strangers() > 0) {
      if (auto connection = step(Deadline::never(), wire::Admits::those_here)) return connection;
    }
    return std::nullopt;
  }

  [[nodiscard]] const std::string& address() const noexcept { return door_.address(); }
  [[nodiscard]] int fileno() const {
    if (closed_) base::throw_os_error("fileno of a closed listener", "", EBADF);
    return door_.fd();
  }

  // A thread in accept() closes the door itself, so that it never polls somebody else's descriptor.
  void close() noexcept {
    if (closed_.exchange(true)) return;
    try {
      if (!accepting_.try_lock()) return;
    } catch (const Error&) {  // held in the parent of this process: no thread of this one is inside
      door_.close();
      return;
    }
    shut();
    accepting_.unlock();
  }

 private:
  std::unique_lock<ForkLock> take_turn() {
    std::unique_lock lock(accepting_);
    if (std::exchange(generation_, fork_generation()) != fork_generation()) reception_.forget();
    return lock;
  }
  std::optional<Connection> step(Deadline deadline, wire::Admits admits) {
    if (closed_) {
      shut();
      base::throw_os_error("accept on a closed listener", "", EBADF);
    }
    if (places_.use_count() > options_.max_connections) admits = wire::Admits::nobody;
    auto guest = reception_.step(deadline.at_most(look_again), admits);
    if (!guest) return std::nullopt;
    return connection_of(std::move(*guest), {options_.idle_timeout, places_});
  }
  void shut() noexcept {
    reception_.forget();
    door_.close();
  }
  static wire::Address checked(const ListenerOptions& options) {
    wire::Address address = wire::Address::parse(options.address);
    wire::require_key(address, options.authkey, options.any_user);
    if (options.backlog < 1 || options.max_connections < 1 || options.handshake_timeout.count() < 1) {
      throw std::invalid_argument("Listener: backlog, max_connections and handshake_timeout are at least 1");
    }
    if (!options.tls.empty() && address.kind == wire::Address::Kind::local) {
      throw std::invalid_argument("Listener: a Unix socket has no TLS");
    }
    if (!options.tls.empty()) address.always_tls = true;
    return address;
  }

  wire::ReceptionOptions reception_options() {
    wire::ReceptionOptions made{.key = options_.authkey,
                                .max_message = options_.max_message,
                                .handshake_timeout = options_.handshake_timeout,
                                .any_user = options_.any_user,
                                .always_tls = where_.always_tls};
    if (where_.kind == wire::Address::Kind::network) {
      made.tls = std::make_shared<wire::TlsContext>(wire::Role::listener, options_.authkey, options_.tls);
    }
    return made;
  }

  ListenerOptions options_;
  wire::Address where_;
  wire::Door door_;
  wire::Reception reception_;
  ForkLock accepting_;
  std::uint32_t generation_ = fork_generation();
  std::atomic<bool> closed_{false};
  std::shared_ptr<const void> places_ = std::make_shared<char>();  // one owner for each open connection, and one here
};

}  // namespace channel

Listener::Listener(ListenerOptions options) : core_(std::make_shared<channel::ListenerCore>(std::move(options))) {}

std::optional<Connection> Listener::accept_until(detail::Deadline deadline) const { return core_->accept(deadline); }
std::optional<Connection> Listener::drain() const { return core_->drain(); }
const std::string& Listener::address() const noexcept { return core_->address(); }
int Listener::fileno() const { return core_->fileno(); }
void Listener::close() const noexcept { core_->close(); }

Connection Client(std::string_view address, std::string authkey, ClientOptions options) {
  wire::Guest found =
      wire::call(address, authkey, detail::Deadline::after(options.timeout),
                 {.max_message = options.max_message, .any_user = options.any_user, .tls = options.tls});
  return channel::connection_of(std::move(found), {options.idle_timeout, {}});
}

}  // namespace multiprocessing
