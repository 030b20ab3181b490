// Client: a manager as this process sees it, behind its proxies.  One per manager and process.
//
// After a fork the copy in the child is a client of its own: what belongs to the parent (channels, sockets) is left
// alone (Client::here()).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "manager/protocol.hpp"

namespace multiprocessing::managers {

class Client : public std::enable_shared_from_this<Client> {
 public:
  Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  virtual ~Client() = default;

  // A call; what came of it is in `into`, until its release().  Throws ManagerDied; at the deadline plus what a server
  // in good health needs at the most, it is given up as ManagerDied.
  virtual void exchange(std::span<const std::byte> request, std::span<const memory::Ref> handles, Deadline deadline,
                        AnswerBuffer& into) = 0;
  // A message that has no answer; never throws, for it may be lost.
  virtual void post(std::span<const std::byte> request) noexcept = 0;

  [[nodiscard]] virtual Object::Parts depart(const Object& object, const memory::Ref& companion,
                                             const std::shared_ptr<Held>& held) = 0;
  // An object that an answer names.
  [[nodiscard]] virtual Object object(std::uint64_t id, std::uint64_t companion) = 0;
  [[nodiscard]] virtual bool takes_handles() const noexcept = 0;
  [[nodiscard]] virtual std::string address() const = 0;
  [[nodiscard]] const std::string& manager() const noexcept { return manager_; }

 protected:
  std::string manager_;  // which one it is: 16 random bytes
};

// Until when a call with this deadline waits for the server to say that it has passed.
[[nodiscard]] inline Deadline with_patience(Deadline deadline) noexcept {
  if (deadline.is_never()) return deadline;
  return Deadline::at(std::max(deadline.when(), Deadline::Clock::now()) + std::chrono::seconds(1));
}

// Sets the calling thread's innermost context, and gives the one before.
const Context* exchange_context(const Context* next) noexcept;

// The client, in this process, of the manager that a companion belongs to, or that listens at the address.
[[nodiscard]] Object local_object(memory::Ref companion);
[[nodiscard]] std::shared_ptr<Client> remote_client(const std::string& address, const std::string& authkey,
                                                    const std::string& manager);

}  // namespace multiprocessing::managers
