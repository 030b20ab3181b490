// The client of a manager that is reached by a socket.
//
// A process has as many connections as it has calls on their way at a time, and keeps them; all belong to one session of
// the server, which ends with the last of them.  A call that is given up (its deadline has passed, the network is silent)
// takes its connection with it: what the server did for it and was not confirmed is undone there.
//
//   died …                      what the others see
//   before the request is out   nothing was called
//   asked, not answered         its call leaves the line that it waits in; a barrier breaks
//   answered, not confirmed     the server takes it back (an item, a lock, an entry) when the connection ends
//   confirmed                   it had it: what is held goes with the session, an item is gone
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "manager/client.hpp"
#include "manager/per_process.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/manager.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "os/sockets.hpp"
#include "sync/spin.hpp"
#include "wire/caller.hpp"

namespace multiprocessing::managers {

// This process's hold on an object of a remote manager, shared by its proxies.
struct Held {
  Held(std::weak_ptr<Client> client_of, std::uint64_t object) noexcept : client(std::move(client_of)), id(object) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held();
  const std::weak_ptr<Client> client;
  const std::uint64_t id;
  std::atomic<std::uint64_t> told{0};     // how often the server has named it to us
  std::atomic<bool> sent_on{false};       // another process may count on our hold: kept as long as we are connected
};

namespace {

constexpr std::chrono::seconds patience_to_connect{10};

class Line {
 public:
  Line(const std::string& address, const std::string& key, const ConnectOptions& options, Deadline deadline)
      : guest_(wire::call(address, key, deadline,
                          {.max_message = options.max_message, .any_user = false, .tls = options.tls})) {}

  // Throws as receive().
  void send(Frame kind, std::span<const std::byte> bytes, Deadline deadline) {
    guest_.wire->send(static_cast<std::uint16_t>(kind), 0, bytes);
    flush(deadline);
  }

  // Throws EndOfFile, OsError(ETIMEDOUT) at the deadline.
  wire::Message receive(Deadline deadline) {
    constexpr int system_call = 16;  // times the cost of a look at memory
    std::array<std::byte, 64 * 1024> buffer;
    sync::Spin spin(system_call);  // an answer that is not waited for takes less time than falling asleep
    for (bool spins = true;;) {
      if (auto message = guest_.wire->next()) {
        if (spins) spin.paid_off();
        return std::move(*message);
      }
      const int count = os::read_some(guest_.socket.get(), buffer);
      if (count == -EAGAIN && spins) {
        spins = spin.again();
      } else if (count == -EAGAIN) {
        wait(POLLIN, deadline);
      } else if (count == 0) {
        throw EndOfFile("the manager's server has hung up");
      } else if (count < 0 && count != -EINTR) {
        base::throw_os_error("read", guest_.name, -count);
      } else if (count > 0) {
        guest_.wire->received(std::span(buffer).first(static_cast<std::size_t>(count)));
        flush(deadline);
      }
    }
  }

  // Nothing is to come on a line that is idle: what comes is its end.
  [[nodiscard]] bool is_usable() const {
    pollfd look{guest_.socket.get(), POLLIN, 0};
    return os::poll({&look, 1}, Deadline::passed()) == 0;
  }

 private:
  void flush(Deadline deadline) {
    while (!guest_.wire->outgoing().empty()) {
      const int count = os::write_some(guest_.socket.get(), guest_.wire->outgoing());
      if (count == -EAGAIN) {
        wait(POLLOUT, deadline);
      } else if (count < 0 && count != -EINTR) {
        base::throw_os_error("write", guest_.name, -count);
      } else if (count > 0) {
        guest_.wire->sent(static_cast<std::size_t>(count));
      }
    }
  }
  void wait(short events, Deadline deadline) const {
    pollfd look{guest_.socket.get(), events, 0};
    const int outcome = os::poll({&look, 1}, deadline);
    if (outcome < 0) base::throw_os_error("poll", guest_.name, -outcome);
    if (outcome == 0) base::throw_os_error("wait for", guest_.name, ETIMEDOUT);
  }

  wire::Guest guest_;
};

class RemoteClient final : public Client {
 public:
  RemoteClient(std::string address, std::string key, ConnectOptions options)
      : address_(std::move(address)), key_(std::move(key)), options_(std::move(options)) {}

  // Throws what wire::call() does, ManagerDied.
  void connect() { put_back(new_line(Deadline::never())); }
  void expect(const std::string& manager) { manager_ = manager; }

  void exchange(std::span<const std::byte> request, std::span<const memory::Ref>, Deadline deadline,
                AnswerBuffer& into) override {
    const Deadline last = with_patience(deadline);
    std::unique_ptr<Line> line = take_line(last);
    try {
      send_posts(*line, last);
      line->send(Frame::request, request, last);
      MULTIPROCESSING_STEP("manager.remote.asked");
      wire::Message answer = line->receive(last);
      if (static_cast<Frame>(answer.kind) != Frame::answer || answer.bytes.size() < sizeof(AnswerHeader)) {
        throw Error("it does not speak a manager's protocol");
      }
      MULTIPROCESSING_STEP("manager.remote.answered");
      if (read_plain<AnswerHeader>(answer.bytes).confirm != 0) line->send(Frame::confirm, {}, last);
      MULTIPROCESSING_STEP("manager.remote.confirmed");
      into.own = std::move(answer.bytes);
      into.bytes = into.own;
    } catch (const NotSendable&) {  // nothing was sent
      put_back(std::move(line));
      throw;
    } catch (const Error& e) {
      throw ManagerDied("the manager at " + address_ + ": " + e.what());
    }
    put_back(std::move(line));
  }

  // At the next call.
  void post(std::span<const std::byte> request) noexcept override {
    try {
      Here& here = here_.get();
      const std::lock_guard lock(here.mutex);
      here.posts.emplace_back(request.begin(), request.end());
    } catch (const std::bad_alloc&) {  // it is held until this process has gone
    }
  }

  Object::Parts depart(const Object& object, const memory::Ref&, const std::shared_ptr<Held>& held) override {
    if (held != nullptr) held->sent_on = true;
    Object::Parts parts;
    parts.way = Way::address;
    parts.id = object.id();
    parts.address = address_;
    parts.authkey = key_;
    parts.manager = manager_;
    return parts;
  }

  Object object(std::uint64_t id, std::uint64_t /*companion*/) override {
    Here& here = here_.get();
    const std::lock_guard lock(here.mutex);
    std::weak_ptr<Held>& known = here.held[id];
    std::shared_ptr<Held> held = known.lock();
    if (held == nullptr) {
      held = std::make_shared<Held>(weak_from_this(), id);
      known = held;
    }
    ++held->told;
    return {shared_from_this(), id, {}, std::move(held)};
  }

  void let_go(const Held& held) noexcept {
    {
      Here& here = here_.get();
      const std::lock_guard lock(here.mutex);
      const auto known = here.held.find(held.id);
      if (known != here.held.end() && known->second.expired()) here.held.erase(known);
    }
    if (held.sent_on || held.told == 0) return;
    RequestHeader release{};
    release.op = Op::release;
    release.first = static_cast<std::int64_t>(held.id);
    release.second = static_cast<std::int64_t>(held.told.load());
    post(std::as_bytes(std::span(&release, 1)));
  }

  [[nodiscard]] bool takes_handles() const noexcept override { return false; }
  [[nodiscard]] std::string address() const override { return address_; }

 private:
  struct Here {
    std::mutex mutex;
    std::vector<std::unique_ptr<Line>> idle;
    std::vector<std::vector<std::byte>> posts;
    std::map<std::uint64_t, std::weak_ptr<Held>> held;
    std::array<char, 16> session{};
    bool named = false;
  };

  std::unique_ptr<Line> take_line(Deadline last) {
    for (;;) {
      std::unique_ptr<Line> line;
      {
        Here& here = here_.get();
        const std::lock_guard lock(here.mutex);
        if (here.idle.empty()) break;
        line = std::move(here.idle.back());
        here.idle.pop_back();
      }
      if (line->is_usable()) return line;
    }
    try {
      return new_line(last);
    } catch (const AuthenticationError&) {
      throw;
    } catch (const Error& e) {
      throw ManagerDied("the manager at " + address_ + " cannot be reached: " + e.what());
    }
  }

  void put_back(std::unique_ptr<Line> line) {
    Here& here = here_.get();
    const std::lock_guard lock(here.mutex);
    here.idle.push_back(std::move(line));
  }

  std::unique_ptr<Line> new_line(Deadline last) {
    last = last.at_most(patience_to_connect);
    auto line = std::make_unique<Line>(address_, key_, options_, last);
    const Hello hello{session(), protocol_version, 0};
    line->send(Frame::hello, std::as_bytes(std::span(&hello, 1)), last);
    const wire::Message answer = line->receive(last);
    if (static_cast<Frame>(answer.kind) != Frame::welcome || answer.bytes.size() != sizeof(Welcome)) {
      throw Error("what listens at " + address_ + " is no manager");
    }
    const auto welcome = read_plain<Welcome>(answer.bytes);
    if (welcome.version != protocol_version) {
      throw Error("the manager at " + address_ + " speaks version " + std::to_string(welcome.version) +
                  " of the protocol, this program version " + std::to_string(protocol_version));
    }
    const std::string manager(welcome.manager.data(), welcome.manager.size());
    if (manager_.empty()) manager_ = manager;
    if (manager_ != manager) throw Error("another manager listens at " + address_ + " now");
    return line;
  }

  std::array<char, 16> session() {
    Here& here = here_.get();
    const std::lock_guard lock(here.mutex);
    if (!std::exchange(here.named, true)) {
      const int outcome = os::random_bytes(std::as_writable_bytes(std::span(here.session)));
      if (outcome < 0) base::throw_os_error("getrandom", "session", -outcome);
    }
    return here.session;
  }

  void send_posts(Line& line, Deadline last) {
    std::vector<std::vector<std::byte>> posts;
    {
      Here& here = here_.get();
      const std::lock_guard lock(here.mutex);
      if (here.posts.empty()) return;
      posts = std::exchange(here.posts, {});
    }
    for (const auto& post : posts) line.send(Frame::post, post, last);
  }

  const std::string address_;
  const std::string key_;
  const ConnectOptions options_;
  PerProcess<Here> here_;
};

struct Clients {
  std::mutex mutex;
  std::map<std::pair<std::string, std::string>, std::weak_ptr<RemoteClient>> by_manager;  // address, manager
};
constinit Forever<PerProcess<Clients>> clients;

}  // namespace

Held::~Held() {
  if (const auto known = client.lock()) static_cast<RemoteClient&>(*known).let_go(*this);
}

std::shared_ptr<Client> remote_client(const std::string& address, const std::string& authkey,
                                      const std::string& manager) {
  Clients& all = clients.value.get();
  const std::lock_guard lock(all.mutex);
  std::weak_ptr<RemoteClient>& known = all.by_manager[{address, manager}];
  std::shared_ptr<RemoteClient> client = known.lock();
  if (client == nullptr) {
    client = std::make_shared<RemoteClient>(address, authkey, ConnectOptions{});
    client->expect(manager);
    known = client;
  }
  return client;
}

}  // namespace multiprocessing::managers

namespace multiprocessing {

RemoteManager::RemoteManager(const std::string& address, const std::string& authkey, const ConnectOptions& options)
    : address_(address) {
  const auto client = std::make_shared<managers::RemoteClient>(address, authkey, options);
  client->connect();
  managers::Clients& all = managers::clients.value.get();
  {
    const std::lock_guard lock(all.mutex);
    all.by_manager[{address, client->manager()}] = client;
  }
  manager_ = managers::Object(client, managers::manager_object, {}, nullptr);
}

RemoteManager connect_manager(const std::string& address, const std::string& authkey, const ConnectOptions& options) {
  return RemoteManager(address, authkey, options);
}

}  // namespace multiprocessing
