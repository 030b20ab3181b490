// A server in the program's own process, and queues of its family served by it.
#include "multiprocessing/manager_server.hpp"

#include <array>
#include <deque>
#include <stdexcept>
#include <utility>

#include "base/error.hpp"
#include "manager/loop.hpp"
#include "manager/network_port.hpp"
#include "manager/own.hpp"
#include "manager/served.hpp"
#include "manager/server.hpp"
#include "multiprocessing/errors.hpp"
#include "os/os.hpp"

namespace multiprocessing::managers {
namespace {

// Getters wait until the queue's descriptor says that there is something; putters look again now and then, for nothing
// tells of room.
class ServedFamilyQueue final : public Served {
 public:
  ServedFamilyQueue(std::shared_ptr<FamilyQueue> queue, Server& server, Loop& loop)
      : queue_(std::move(queue)), server_(server), loop_(loop) {}

  void handle(Call& call, ValueReader& in) override {
    switch (call.op()) {
      case Op::put: return put(call, in);
      case Op::get: return get(call);
      case Op::size: return call.done(static_cast<std::int64_t>(queue_->size() + returned_.size()));
      case Op::maxsize: return call.done(static_cast<std::int64_t>(queue_->maxsize()));
      case Op::closed: return call.done(queue_->closed() ? 1 : 0);
      case Op::close:
        queue_->close();
        call.done();
        return look_again();
      default: throw_unknown_operation();
    }
  }
  void take_back(Call& call) override {
    for (Value& value : call.if_lost) returned_.push_front(std::move(value));
    look_again();
  }
  void look_again() {
    getters_.retry();
    putters_.retry();
    watch();
  }

 private:
  void put(Call& call, ValueReader& in) {
    codec::Decoder item(in.next().bytes);
    if (!call.is_of_family()) item.forbid_handles();
    try {
      if (!queue_->try_put(item)) return call.wait(putters_);
    } catch (const Closed& e) {
      return call.fail(Status::closed, e.what());
    }
    call.done();
  }

  void get(Call& call) {
    Value item;
    if (!returned_.empty()) {
      item = std::move(returned_.front());
      returned_.pop_front();
    } else {
      codec::Encoder out;
      const bool closed = queue_->closed();
      if (!queue_->try_get(out)) {
        if (closed) return call.fail(Status::closed, "get: the queue is closed and empty");
        call.wait(getters_);
        return watch();
      }
      item = value_of(out);
    }
    std::vector<Value> items;
    items.push_back(std::move(item));
    const Value* const one = items.data();
    call.done_or_back(1, {&one, 1}, std::move(items));
  }

  // The descriptor is level-triggered: it is watched while somebody waits, and no longer.
  void watch() {
    if (getters_.empty() == (key_ == 0)) return;
    if (getters_.empty()) {
      loop_.remove(std::exchange(key_, 0));
      return;
    }
    key_ = loop_.add(queue_->fileno(), [weak = weak_from_this(), this](bool, bool) {
      const std::lock_guard gate(server_.gate);
      if (const auto self = weak.lock()) look_again();
    });
  }

  const std::shared_ptr<FamilyQueue> queue_;
  Server& server_;
  Loop& loop_;
  std::uint64_t key_ = 0;
  std::deque<Value> returned_;  // given to clients who did not get them
  Line getters_;
  Line putters_;
};

}  // namespace

class ServerHere {
 public:
  explicit ServerHere(NetworkOptions options)
      : server_({}), loop_(server_), port_(server_, loop_, std::move(options), random_name()) {}

  ~ServerHere() {
    {
      const std::lock_guard gate(server_.gate);
      server_.drop_objects();
    }
    server_.workers.finish();
  }
  ServerHere(const ServerHere&) = delete;
  ServerHere& operator=(const ServerHere&) = delete;

  void add(const std::string& name, Kind kind, const std::type_info& type, const ServedPtr& object) {
    const std::lock_guard gate(server_.gate);
    if (name.empty() || server_.find_named(name) != nullptr) {
      throw std::invalid_argument("serve: the name '" + name + "' is empty or taken");
    }
    server_.add(object, kind, fingerprint(type), name);
  }
  void add_queue(const std::string& name, const std::type_info& type, std::shared_ptr<FamilyQueue> queue) {
    const auto served = std::make_shared<ServedFamilyQueue>(std::move(queue), server_, loop_);
    add(name, Kind::queue, type, served);
    const std::lock_guard gate(server_.gate);
    queues_.push_back(served);
  }

  void run() {
    loop_.when_idle([this] {
      const std::lock_guard gate(server_.gate);
      for (const auto& queue : queues_) queue->look_again();
    });
    port_.open();
    loop_.run();
    port_.close();
  }
  void stop() noexcept {
    const std::lock_guard gate(server_.gate);
    server_.begin_to_end();
  }
  [[nodiscard]] const std::string& address() const noexcept { return port_.address(); }

 private:
  static std::array<char, 16> random_name() {
    std::array<char, 16> name{};
    const int outcome = os::random_bytes(std::as_writable_bytes(std::span(name)));
    if (outcome < 0) base::throw_os_error("getrandom", "manager", -outcome);
    return name;
  }
  Server server_;
  Loop loop_;
  NetworkPort port_;
  std::vector<std::shared_ptr<ServedFamilyQueue>> queues_;
};

}  // namespace multiprocessing::managers

namespace multiprocessing {

ManagerServer::ManagerServer(ManagerServerOptions options)
    : server_(std::make_unique<managers::ServerHere>(managers::NetworkOptions{
          std::move(options.address), std::move(options.authkey), options.max_message,
          static_cast<std::size_t>(options.max_connections > 0 ? options.max_connections : 1), std::move(options.tls)})) {}
ManagerServer::~ManagerServer() = default;

const std::string& ManagerServer::address() const noexcept { return server_->address(); }
void ManagerServer::serve_forever() { server_->run(); }
void ManagerServer::stop() noexcept { server_->stop(); }
void ManagerServer::serve_queue(const std::string& name, const std::type_info& type,
                                std::shared_ptr<managers::FamilyQueue> queue) {
  server_->add_queue(name, type, std::move(queue));
}
void ManagerServer::serve_object(const std::string& name, managers::Made object) {
  const std::type_info& type = *object.type;
  server_->add(name, managers::Kind::own, type, managers::serve_object(std::move(object)));
}

}  // namespace multiprocessing
