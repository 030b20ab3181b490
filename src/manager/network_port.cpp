#include "manager/network_port.hpp"

#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/own_threads.hpp"
#include "multiprocessing/errors.hpp"
#include "os/signals_blocked.hpp"
#include "os/sockets.hpp"
#include "wire/caller.hpp"

namespace multiprocessing::managers {
namespace {

using detail::Deadline;
constexpr std::chrono::milliseconds look_again{100};

}  // namespace

// --- a connection and the call on it ----------------------------------------------------------------------------------

class NetworkCall final : public Call {
 public:
  NetworkCall(NetworkPort& port, wire::Guest guest)
      : Call(port.server_), port_(port), socket_(std::move(guest.socket)), wire_(std::move(guest.wire)), peer_(std::move(guest.name)) {}

  [[nodiscard]] bool is_of_family() const noexcept override { return false; }

  // Throws what ends the connection.
  void readable() {
    std::array<std::byte, 64 * 1024> buffer;
    const int count = os::read_some(socket_.get(), buffer);
    if (count == -EAGAIN || count == -EINTR) return;
    if (count == 0 || count == -ECONNRESET) throw EndOfFile("it has hung up");
    if (count < 0) base::throw_os_error("read", peer_, -count);
    wire_->received(std::span(buffer).first(static_cast<std::size_t>(count)));
    flush();  // of TLS there may be something to say
    take_all();
  }
  void writable() {
    flush();
    take_all();
  }

  void drop() noexcept {
    give_up();
    socket_.reset();
  }

  std::uint64_t key = 0;     // in the loop
  std::string session_name;  // after its hello
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  [[nodiscard]] const std::string& peer() const noexcept { return peer_; }

 private:
  // None while an answer is on its way out: who reads no answers gets no more of them.
  void take_all() {
    while (wire_->outgoing().empty()) {
      std::optional<wire::Message> message = wire_->next();
      if (!message) return;
      take(std::move(*message));
    }
  }

  void take(wire::Message message) {
    const auto kind = static_cast<Frame>(message.kind);
    if (client_ == nullptr) {
      if (kind != Frame::hello) throw Error("it does not speak a manager's protocol");
      return greet(message.bytes);
    }
    switch (kind) {
      case Frame::confirm: return confirmed();
      case Frame::request:
      case Frame::post:
        if (is_open()) throw Error("it has sent a request before the one before was answered");
        confirmed();
        posted_ = kind == Frame::post;
        request() = std::move(message.bytes);
        begin(client_, ++requests_);
        if (posted_ && op() != Op::release) throw Error("it has posted what has an answer");
        return server().carry_out(*this);
      default: throw Error("it has sent what only a manager's server sends");
    }
  }

  void greet(std::span<const std::byte> bytes) {
    if (bytes.size() != sizeof(Hello)) throw Error("it does not speak a manager's protocol");
    const auto hello = read_plain<Hello>(bytes);
    const Welcome welcome{port_.manager_, protocol_version, 0};
    put(Frame::welcome, std::as_bytes(std::span(&welcome, 1)));
    if (hello.version != protocol_version) {
      throw Error("it speaks version " + std::to_string(hello.version) + " of the protocol, this server version " +
                  std::to_string(protocol_version));
    }
    session_name.assign(hello.session.data(), hello.session.size());
    client_ = port_.session_of(session_name);
  }

  // The loop reads its end, and closes it.
  void cannot_answer() noexcept override { os::shut_down(socket_.get()); }

  void send(const AnswerHeader& header, std::span<const Value* const> values) override {
    if (posted_) return;
    std::vector<std::byte> bytes;
    const auto put_bytes = [&bytes](const void* from, std::size_t count) {
      const auto* const first = static_cast<const std::byte*>(from);
      bytes.insert(bytes.end(), first, first + count);
    };
    put_bytes(&header, sizeof header);
    for (const Value* const value : values) {
      if (!value->holds.empty()) {
        throw NotSendable("the value holds handles of the memory of the manager's own program");
      }
      const ValueHeader start{value->bytes.size(), static_cast<std::uint32_t>(value->objects.size()), 0};
      put_bytes(&start, sizeof start);
      put_bytes(value->bytes.data(), value->bytes.size());
      for (const ServedPtr& object : value->objects) {
        const std::uint64_t pair[2] = {object->id, 0};
        put_bytes(pair, sizeof pair);
      }
    }
    put(Frame::answer, bytes);
    for (const Value* const value : values) {
      for (const ServedPtr& object : value->objects) {
        auto& told = client_->told[object->id];
        told.first = object;
        ++told.second;
      }
    }
  }

  void put(Frame kind, std::span<const std::byte> bytes) {
    wire_->send(static_cast<std::uint16_t>(kind), 0, bytes);
    try {
      flush();
    } catch (const Error&) {  // the loop reads the same from the socket, and ends the connection
    }
  }

  void flush() {
    while (socket_ && !wire_->outgoing().empty()) {
      const int count = os::write_some(socket_.get(), wire_->outgoing());
      if (count == -EINTR) continue;
      if (count == -EAGAIN) break;
      if (count < 0) base::throw_os_error("write", peer_, -count);
      wire_->sent(static_cast<std::size_t>(count));
    }
    const bool waits = !wire_->outgoing().empty();
    if (waits != std::exchange(waits_to_write_, waits)) port_.loop_.change(key, !waits, waits);
  }

  NetworkPort& port_;
  os::PrivateFd socket_;
  std::unique_ptr<wire::Wire> wire_;
  const std::string peer_;
  SessionPtr client_;  // after its hello
  std::uint64_t requests_ = 0;
  bool posted_ = false;
  bool waits_to_write_ = false;
};

// --- the port ---------------------------------------------------------------------------------------------------------

NetworkPort::NetworkPort(Server& server, Loop& loop, NetworkOptions options, const std::array<char, 16>& manager)
    : server_(server),
      loop_(loop),
      options_(std::move(options)),
      manager_(manager),
      door_((wire::require_key(wire::Address::parse(options_.address), options_.authkey, false),
             wire::Address::parse(options_.address)),
            128) {
  if (!door_.is_local()) {
    tls_ = std::make_shared<wire::TlsContext>(wire::Role::listener, options_.authkey, options_.tls);
  }
}

NetworkPort::~NetworkPort() { close(); }

void NetworkPort::close() noexcept {
  closed_ = true;
  if (reception_.joinable()) reception_.join();
  const std::lock_guard gate(server_.gate);
  while (!connections_.empty()) close(std::shared_ptr<NetworkCall>(connections_.begin()->second));
}

void NetworkPort::open() {
  const os::SignalsBlocked blocked;
  reception_ = std::thread([this, own = base::OwnThread()] { receive_strangers(); });
}

void NetworkPort::receive_strangers() {
  const wire::Address where = wire::Address::parse(options_.address);
  wire::ReceptionOptions how{.key = options_.authkey, .max_message = options_.max_message};
  how.always_tls = where.always_tls || !options_.tls.empty();
  how.tls = tls_;
  while (!closed_) {
    try {
      wire::Reception reception(door_, how);
      while (!closed_) {
        const bool room = [this] {
          const std::lock_guard gate(server_.gate);
          return connections_.size() < options_.max_connections;
        }();
        const auto admits = room ? wire::Admits::everybody : wire::Admits::nobody;
        if (auto guest = reception.step(Deadline::after(look_again), admits)) let_in(std::move(*guest));
      }
    } catch (const std::exception& e) {
      base::log(LogLevel::error, "manager: the door at ", door_.address(), ": ", e.what());
      std::this_thread::sleep_for(look_again);
    }
  }
}

void NetworkPort::let_in(wire::Guest guest) {
  const std::lock_guard gate(server_.gate);
  const auto connection = std::make_shared<NetworkCall>(*this, std::move(guest));
  connections_[connection.get()] = connection;
  connection->key = loop_.add(connection->fd(), [this, weak = std::weak_ptr(connection)](bool readable, bool writable) {
    const std::lock_guard lock(server_.gate);
    const auto one = weak.lock();
    if (one == nullptr) return;
    try {
      if (readable) one->readable();
      if (writable) one->writable();
    } catch (const EndOfFile&) {
      close(one);
    } catch (const std::exception& e) {
      base::log(LogLevel::warning, "manager: a client, ", one->peer(), ", is cut off: ", e.what());
      close(one);
    }
  });
  if (connection->key == 0) close(connection);
}

void NetworkPort::close(const std::shared_ptr<NetworkCall>& connection) noexcept {
  if (connections_.erase(connection.get()) == 0) return;
  if (connection->key != 0) loop_.remove(connection->key);
  connection->drop();
  const auto known = sessions_.find(connection->session_name);
  if (known == sessions_.end() || --known->second.connections > 0) return;
  const SessionPtr session = known->second.session;
  sessions_.erase(known);
  server_.end_session(session);
}

SessionPtr NetworkPort::session_of(const std::string& name) {
  Known& known = sessions_[name];
  if (known.session == nullptr) known.session = std::make_shared<Session>();
  ++known.connections;
  return known.session;
}

}  // namespace multiprocessing::managers
