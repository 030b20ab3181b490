// ManagerServer: objects of this program for programs elsewhere, as Python's BaseManager with register() and get_server().
//
//   mp::Queue<Job> jobs;                                       // as this program's own processes use it
//   auto counter = std::make_shared<Counter>(10);
//   mp::ManagerServer server({.address = "tcp://127.0.0.1:50000", .authkey = key});
//   server.serve("jobs", jobs);
//   server.serve("counter", counter);
//   server.serve_forever();                                    // in this thread, until stop()
//
//   auto remote = mp::connect_manager("tcp://127.0.0.1:50000", key);               // on the other machine
//   for (Job job : remote.queue<Job>("jobs")) work(job);
//   remote.find<Counter>("counter").call(&Counter::add, 5);    // registered by register_method() in both (manager.hpp)
//
// Clients may make objects of their own in it as in any manager, and the server in this process serves them, until it
// is stopped.  Methods of served objects are called in threads of this process, one at a time for each object.
//
// An item of a queue that a client was given and did not get, because it died or its network did, is given to the next.
//
// Threads: serve() and stop() from any; serve_forever() from one.  Fork: children do not have the server.
// Errors: as ManagerOptions; std::invalid_argument when a name is taken.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>

#include "multiprocessing/detail/manager_client.hpp"
#include "multiprocessing/detail/manager_own.hpp"
#include "multiprocessing/queue.hpp"
#include "multiprocessing/tls_options.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace managers {

// A queue of the family, for a server: items as the manager's protocol has them.  Nothing waits.
class FamilyQueue {
 public:
  FamilyQueue() = default;
  FamilyQueue(const FamilyQueue&) = delete;
  FamilyQueue& operator=(const FamilyQueue&) = delete;
  virtual ~FamilyQueue() = default;
  [[nodiscard]] virtual bool try_put(codec::Decoder& item) = 0;  // throws Closed
  [[nodiscard]] virtual bool try_get(codec::Encoder& item) = 0;
  [[nodiscard]] virtual std::size_t size() const = 0;
  [[nodiscard]] virtual std::size_t maxsize() const = 0;
  [[nodiscard]] virtual bool closed() const = 0;
  virtual void close() = 0;
  [[nodiscard]] virtual int fileno() const = 0;
};

template <class T>
class FamilyQueueOf final : public FamilyQueue {
 public:
  explicit FamilyQueueOf(Queue<T> queue) : queue_(std::move(queue)) {}
  bool try_put(codec::Decoder& item) override { return queue_.try_put(codec::decode<T>(item)); }
  bool try_get(codec::Encoder& item) override {
    const std::optional<T> got = queue_.try_get();
    if (got) codec::encode(item, *got);
    return got.has_value();
  }
  std::size_t size() const override { return queue_.qsize(); }
  std::size_t maxsize() const override { return queue_.maxsize(); }
  bool closed() const override { return queue_.closed(); }
  void close() override { queue_.close(); }
  int fileno() const override { return queue_.fileno(); }

 private:
  const Queue<T> queue_;
};

class ServerHere;

}  // namespace managers

struct ManagerServerOptions {
  std::string address = {};  // tcp://HOST:PORT or unix:///PATH
  std::string authkey = {};
  TlsOptions tls = {};
  std::uint64_t max_message = std::uint64_t{64} << 20;
  int max_connections = 4096;
};

class ManagerServer {
 public:
  explicit ManagerServer(ManagerServerOptions options);
  ManagerServer(const ManagerServer&) = delete;
  ManagerServer& operator=(const ManagerServer&) = delete;
  ~ManagerServer();  // waits for methods that still run.  REQUIRES: serve_forever() has returned

  template <class T>
  void serve(const std::string& name, const Queue<T>& queue) {
    serve_queue(name, typeid(T), std::make_shared<managers::FamilyQueueOf<T>>(queue));
  }
  template <class T>
  void serve(const std::string& name, std::shared_ptr<T> object) {
    serve_object(name, managers::made(std::move(object)));
  }
  [[nodiscard]] const std::string& address() const noexcept;
  void serve_forever();
  // serve_forever() returns; clients get ManagerDied.  Also before it has begun.
  void stop() noexcept;

 private:
  void serve_queue(const std::string& name, const std::type_info& type, std::shared_ptr<managers::FamilyQueue> queue);
  void serve_object(const std::string& name, managers::Made object);
  std::unique_ptr<managers::ServerHere> server_;
};

}  // namespace multiprocessing

#pragma GCC visibility pop
