// NetworkPort: where calls come in from outside of the family, over sockets.  Who has passed the handshake (a thread of its
// own asks strangers for it) is served by the loop.
//
// Invariants
//   1. A connection has one request on its way; another one, or anything that is no message, ends the connection.  So a
//      client costs the server a request and an answer of max_message at the most, and what it stores in objects.
//   2. A session is a client process: it ends with the last of its connections, and gives back what it held.
//   3. No address of code and no handle of the family comes from here or goes out here.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>

#include "manager/loop.hpp"
#include "manager/server.hpp"
#include "wire/reception.hpp"

namespace multiprocessing::managers {

class NetworkCall;

struct NetworkOptions {
  std::string address;
  std::string authkey;
  std::uint64_t max_message = wire::default_max_message;
  std::size_t max_connections = 4096;
  TlsOptions tls;
};

class NetworkPort {
 public:
  // Throws as Listener.
  NetworkPort(Server& server, Loop& loop, NetworkOptions options, const std::array<char, 16>& manager);
  ~NetworkPort();
  NetworkPort(const NetworkPort&) = delete;
  NetworkPort& operator=(const NetworkPort&) = delete;

  void open();            // lets clients in
  void close() noexcept;  // and sends them away.  The gate is not held
  [[nodiscard]] const std::string& address() const noexcept { return door_.address(); }

 private:
  friend class NetworkCall;
  void receive_strangers();
  void let_in(wire::Guest guest);
  void close(const std::shared_ptr<NetworkCall>& connection) noexcept;
  [[nodiscard]] SessionPtr session_of(const std::string& name);

  struct Known {
    SessionPtr session;
    std::size_t connections = 0;
  };
  Server& server_;
  Loop& loop_;
  const NetworkOptions options_;
  const std::array<char, 16> manager_;
  wire::Door door_;
  std::shared_ptr<const wire::TlsContext> tls_;  // null: a Unix socket
  std::unordered_map<NetworkCall*, std::shared_ptr<NetworkCall>> connections_;
  std::unordered_map<std::string, Known> sessions_;
  std::atomic<bool> closed_{false};
  std::thread reception_;
};

}  // namespace multiprocessing::managers
