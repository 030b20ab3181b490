// What goes to a process that is no copy of its parent: a packet with descriptors, one of which is the message.
// docs/formats/start.md has the picture.
//
//   sender     Message message(preparation, target);  …  message.send(socket, {…});
//   receiver   const Received start = Received::from(socket);
//
// The message is a sealed file, so its size does not matter, and a sender that dies has sent all of it or nothing.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/log.hpp"
#include "memory/family.hpp"
#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/callable_token.hpp"
#include "multiprocessing/detail/shared_fd.hpp"
#include "multiprocessing/start_method.hpp"

namespace multiprocessing::process_ {

enum class Role : std::uint32_t { child, forkserver };

// Who the new process will be, and how it finds what it runs.
struct Preparation {
  std::string name;
  std::string path;
  bool daemon = false;
  std::string parent_name;
  pid_t parent = 0;
  bool parent_is_daemon = false;
  std::optional<StartMethod> start_method;  // as set for the whole program
  std::uint64_t blocked_signals = 0;        // of the thread that called start(): bit N - 1 is signal N
  codec::Token reader{};                    // makes the target anew
  std::string library;                      // the file that `reader` is in; empty: the program
  int log_level = base::log_nothing;
  std::string trace;  // the file, absolute; empty: none
};

class Message {
 public:
  // `target`: what the runner reads.  Throws OsError.
  Message(const Preparation& preparation, const codec::Encoder& target);

  struct Envelope {
    Role role = Role::child;
    pid_t parent = 0;
    bool by_main_thread = false;  // of the parent: the kernel takes the end of that thread for the end of the parent
    memory::Newcomer newcomer;
    int memory = -1;  // the arena's descriptor, for a program that does not have it yet
  };
  // 0 or the negative errno: -EAGAIN where there is no room now.
  [[nodiscard]] int send(int socket, const Envelope& envelope, bool with_standard_streams) const;

 private:
  base::Fd file_;
  std::uint64_t bytes_ = 0;
  std::vector<detail::SharedFd> carried_;
};

class Received {
 public:
  // The first packet of the socket.  Empty: nothing is there, or it is no packet of this kind.  Throws OsError.
  static std::optional<Received> from(int socket);

  Role role = Role::child;
  pid_t parent = 0;
  bool by_main_thread = false;
  memory::Newcomer newcomer;
  base::Fd memory;
  std::optional<base::Fd> standard[3];  // given: what the child has for it, closed or not

  // The message.  The bytes are borrowed from this object.
  [[nodiscard]] Preparation open();
  [[nodiscard]] std::span<const std::byte> target() const noexcept { return target_; }
  [[nodiscard]] std::span<const detail::SharedFd> carried() const noexcept { return carried_; }

 private:
  base::Fd file_;
  std::uint64_t bytes_ = 0;
  std::span<const std::byte> target_;
  std::vector<detail::SharedFd> carried_;
};

}  // namespace multiprocessing::process_
