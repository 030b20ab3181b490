// Link: one end of a connection, below mp::Connection: messages as bytes, with the handles and descriptors they carry.
// Layer: channel.  The protocol and its table of deaths are in src/channel/link.cpp and docs/formats/connection.md.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/detail/ref.hpp"
#include "multiprocessing/detail/shared_fd.hpp"

namespace multiprocessing::channel {

using detail::Deadline;

[[nodiscard]] std::uint64_t fingerprint(std::string_view type_name) noexcept;

enum class Ways : std::uint8_t { receives = 1, sends = 2, both = 3 };

struct Outgoing {
  std::uint64_t type = 0;  // fingerprint of the value's type; 0: plain bytes
  std::span<const std::byte> bytes;
  std::span<const memory::Ref> handles;
  std::span<const detail::SharedFd> descriptors;
};

// A received message, in memory that is kept for the next one.
class Incoming {
 public:
  Incoming() = default;
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;
  ~Incoming() { done(); }

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::span<const detail::SharedFd> descriptors() const noexcept { return descriptors_; }
  // The value is made: its handles and descriptors hold for themselves now.
  void done() noexcept;

 private:
  friend class Link;
  std::unique_ptr<std::byte[]> packet_;
  void* mapped_ = nullptr;  // of a message too large for a packet
  std::size_t mapped_bytes_ = 0;
  std::span<const std::byte> bytes_;
  std::vector<memory::Ref> handles_;
  std::vector<detail::SharedFd> descriptors_;
};

class Link {
 public:
  using Pair = std::pair<std::shared_ptr<Link>, std::shared_ptr<Link>>;
  static Pair make_pair(bool duplex);  // throws OsError
  // An end that arrived in a message.  Throws Error when it is none.
  Link(detail::SharedFd fd, memory::Ref in, memory::Ref out, Ways ways);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Blocks until there is room.  Throws OsError: EPIPE when nobody is left who could receive.
  void send(const Outgoing& message) const;
  // Blocks until there is a message.  Throws EndOfFile, and TypeMismatch when the next one has another type; then it
  // stays.  Nothing is taken when OsError is thrown; what is not of this library is taken and reported as Error.
  void receive(std::uint64_t type, const std::type_info& wanted, Incoming& into) const;
  // A message or the end of file is there, or comes by then.
  [[nodiscard]] bool readable(Deadline deadline) const;

  [[nodiscard]] int fileno() const;  // of this end, until close()
  [[nodiscard]] detail::SharedFd descriptor() const;  // holds it open, also after close()
  void close() noexcept;
  [[nodiscard]] bool closed() const noexcept;

  // What names this end in a message.
  struct Parts {
    detail::SharedFd fd;
    memory::Ref in;
    memory::Ref out;
    Ways ways = Ways::both;
  };
  [[nodiscard]] Parts parts() const;

 private:
  class Use;
  [[nodiscard]] bool enter() noexcept;
  void leave() noexcept;
  void let_go() noexcept;
  void require(Ways way, const char* verb) const;
  [[nodiscard]] bool take(std::uint64_t type, const std::type_info& wanted, Incoming& into) const;
  void spin_until_readable() const;
  void wait_for(short events, const char* verb) const;

  detail::SharedFd fd_;
  memory::Ref in_;   // the Direction of what arrives here
  memory::Ref out_;  // … and of what is sent
  Ways ways_;
  std::size_t packet_limit_ = 0;  // bytes of a message that goes in one packet
  // generation : 32 | closed : 1 | calls in progress : 31.  Calls of another generation were those of threads in the
  // process that this one was forked from.
  mutable std::atomic<std::uint64_t> state_;
};

// A link for handles that are empty, closed or moved from.
[[noreturn]] void throw_closed_connection(const char* verb);

}  // namespace multiprocessing::channel
