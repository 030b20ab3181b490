#include "wire/reception.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "multiprocessing/errors.hpp"
#include "os/os.hpp"

namespace multiprocessing::wire {
namespace {

using namespace std::chrono_literals;
using detail::Deadline;

constexpr auto shut_door = 100ms;
constexpr int reads_at_once = 8;  // of one stranger, so that the others have their turn
constexpr int arrivals_at_once = 16;

// True: all is out.
bool say(int socket, Wire& wire) {
  while (!wire.outgoing().empty()) {
    const int count = os::write_some(socket, wire.outgoing());
    if (count == -EAGAIN || count == -EINTR) return false;
    if (count == -EPIPE || count == -ECONNRESET) throw EndOfFile("the other side has gone during the handshake");
    if (count < 0) base::throw_os_error("write", "a socket", -count);
    wire.sent(static_cast<std::size_t>(count));
  }
  return true;
}

void say_the_rest(int socket, Wire& wire) noexcept {
  try {
    static_cast<void>(say(socket, wire));
  } catch (const std::exception&) {  // it is being sent away anyway
  }
}

}  // namespace

bool shake_hands(int socket, Wire& wire) {
  std::array<std::byte, 2048> buffer;
  for (int i = 0; i < reads_at_once && !wire.established(); ++i) {
    if (!say(socket, wire)) return false;
    const int count = os::read_some(socket, std::span(buffer).first(std::min(wire.lacking(), buffer.size())));
    if (count == -EAGAIN || count == -EINTR) return false;
    if (count == 0 || count == -ECONNRESET) throw EndOfFile("the other side has gone during the handshake");
    if (count < 0) base::throw_os_error("read", "a socket", -count);
    try {
      wire.received(std::span(buffer).first(static_cast<std::size_t>(count)));
    } catch (...) {
      say_the_rest(socket, wire);
      throw;
    }
  }
  return wire.established() && say(socket, wire);
}

Reception::Reception(const Door& door, ReceptionOptions options) : door_(door), options_(std::move(options)) {
  options_.handshake_timeout = std::min<std::chrono::milliseconds>(options_.handshake_timeout, 24h);
  strangers_.reserve(most_strangers);
}

std::chrono::milliseconds Reception::patience() const noexcept {
  return strangers_.size() < most_strangers ? options_.handshake_timeout : options_.handshake_timeout / 5;
}

Deadline Reception::next_look(Deadline deadline) const noexcept {
  Deadline next = deadline;
  for (const Stranger& one : strangers_) {
    if (one.has_passed()) continue;
    if (const Deadline end = Deadline::at(one.since + patience()); end.when() < next.when()) next = end;
  }
  if (!door_shut_until_.is_over() && door_shut_until_.when() < next.when()) next = door_shut_until_;
  return next;
}

std::optional<Guest> Reception::step(Deadline deadline, Admits admits) {
  if (admits != Admits::nobody) {
    if (auto guest = first_guest()) return guest;  // who has waited for a place
  }
  const bool door = admits == Admits::everybody && strangers_.size() < most_strangers && door_shut_until_.is_over();
  std::vector<pollfd> look;
  look.reserve(strangers_.size() + 1);
  for (const Stranger& one : strangers_) {
    look.push_back({one.has_passed() ? -1 : one.socket.get(),
                    static_cast<short>(one.wire->outgoing().empty() ? POLLIN : POLLOUT), 0});
  }
  if (door) look.push_back({door_.fd(), POLLIN, 0});
  const int ready = os::poll(look, next_look(deadline));
  if (ready < 0 && ready != -EINTR) base::throw_os_error("poll", "a listener", -ready);
  if (ready > 0) {
    for (std::size_t i = 0; i < strangers_.size(); ++i) {
      if (look[i].revents != 0) attend(strangers_[i]);
    }
    if (door && look.back().revents != 0) take_from_door();
  }
  expire();
  return admits != Admits::nobody ? first_guest() : std::nullopt;
}

void Reception::take_from_door() {
  for (int i = 0; i < arrivals_at_once && strangers_.size() < most_strangers; ++i) {
    os::SocketAddress peer;
    os::PrivateFd socket;
    const int outcome = socket.open([&] { return os::accept_socket(door_.fd(), peer); });
    if (outcome >= 0) {
      let_in(std::move(socket), peer);
      continue;
    }
    const int error = -outcome;
    switch (error) {
      case EAGAIN:
        return;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        base::log(LogLevel::warning, "a listener cannot accept: ", OsError("accept", door_.address(), error).what());
        door_shut_until_ = Deadline::after(shut_door);
        return;
      case EBADF:
      case EINVAL:
      case ENOTSOCK:
        base::throw_os_error("accept", door_.address(), error);
      default:  // ECONNABORTED and the network's own: one stranger less
        continue;
    }
  }
}

void Reception::let_in(os::PrivateFd socket, const os::SocketAddress& peer) {
  Stranger stranger{{std::move(socket), nullptr, ""}, Deadline::Clock::now()};
  try {
    Options wire{.key = options_.key, .max_message = options_.max_message, .tls = options_.tls};
    if (door_.is_local()) {
      uid_t user = 0;
      const int outcome = os::peer_user(stranger.socket.get(), user);
      stranger.name = "a process of user " + std::to_string(user);
      if (outcome < 0) base::throw_os_error("SO_PEERCRED", door_.address(), -outcome);
      if (user != ::geteuid() && !options_.any_user) {
        throw AuthenticationError("only user " + std::to_string(::geteuid()) + " may connect");
      }
    } else {
      stranger.name = text_of(peer);
      wire.security = options_.always_tls || !is_on_this_machine(peer) ? Security::tls : Security::either;
      if (const int outcome = os::tune_network_socket(stranger.socket.get()); outcome < 0) {
        base::throw_os_error("set options of", "a socket", -outcome);
      }
    }
    stranger.wire = std::make_unique<Wire>(Role::listener, std::move(wire));
    strangers_.push_back(std::move(stranger));
  } catch (const std::exception& error) {
    send_away(stranger, error.what());
    return;
  }
  attend(strangers_.back());  // what it says has often come along
}

void Reception::attend(Stranger& stranger) {
  try {
    static_cast<void>(shake_hands(stranger.socket.get(), *stranger.wire));
  } catch (const std::exception& error) {
    send_away(stranger, error.what());
  }
}

void Reception::send_away(Stranger& stranger, const std::string& reason) noexcept {
  base::log(LogLevel::warning, "a listener at ", door_.address(), " has refused ", stranger.name, ": ", reason);
  stranger.socket.reset();
}

void Reception::expire() {
  const auto now = Deadline::Clock::now();
  for (Stranger& one : strangers_) {
    if (one.socket && !one.has_passed() && now - one.since >= patience()) {
      send_away(one, "it has not shown in time that it may connect");
    }
  }
  std::erase_if(strangers_, [](const Stranger& one) { return !one.socket; });
}

std::optional<Guest> Reception::first_guest() {
  for (auto one = strangers_.begin(); one != strangers_.end(); ++one) {
    if (!one->has_passed()) continue;
    std::optional<Guest> guest(std::move(static_cast<Guest&>(*one)));
    strangers_.erase(one);
    return guest;
  }
  return std::nullopt;
}

}  // namespace multiprocessing::wire
