// Objects of the program's own classes, and pools: served by threads of their own, for they take their time.
#pragma once

#include "manager/server.hpp"
#include "multiprocessing/detail/manager_own.hpp"

namespace multiprocessing::managers {

[[nodiscard]] ServedPtr make_own(Call& call, ValueReader& in);
[[nodiscard]] ServedPtr make_pool(Call& call, ValueReader& in);

// An object that this process has made itself, for Server::add().
[[nodiscard]] ServedPtr serve_object(Made object);

// The calling thread's encoder and decoder of values of this server: proxies in them are its objects.
class WithinServer {
 public:
  explicit WithinServer(Server& server, const ValueView* arriving = nullptr);
  ~WithinServer();
  WithinServer(const WithinServer&) = delete;
  WithinServer& operator=(const WithinServer&) = delete;
  // What was encoded, with what it names.  Gate held.
  [[nodiscard]] Value value(const codec::Encoder& out);

 private:
  Server& server_;
  std::shared_ptr<Client> client_;
  std::vector<std::uint64_t> going_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> arriving_;
  Context context_;
};

}  // namespace multiprocessing::managers
