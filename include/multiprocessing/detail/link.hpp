// Link: one end of a connection, below mp::Connection: messages as bytes, with the handles and descriptors they carry.
// Layer: channel.  Two kinds: FamilyLink between the processes of a family (src/channel/link.cpp has the protocol and its
// table of deaths, docs/formats/connection.md the format), and WireLink over a stream socket to anybody who has the key
// (src/channel/wire_link.hpp).
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

#pragma GCC visibility push(default)

namespace multiprocessing::channel {

using detail::Deadline;

[[nodiscard]] std::uint64_t fingerprint(std::string_view type_name) noexcept;

enum class Ways : std::uint8_t { receives = 1, sends = 2, both = 3, wire = 4 };  // wire: both, of a WireLink

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
  // It is of no process of the family: handles in it are none.
  [[nodiscard]] bool is_foreign() const noexcept { return is_foreign_; }
  // The value is made: its handles and descriptors hold for themselves now.
  void done() noexcept;

 private:
  friend class FamilyLink;
  friend class WireLink;
  std::unique_ptr<std::byte[]> packet_;
  void* mapped_ = nullptr;  // of a message too large for a packet
  std::size_t mapped_bytes_ = 0;
  std::span<const std::byte> bytes_;
  std::vector<memory::Ref> handles_;
  std::vector<detail::SharedFd> descriptors_;
  std::vector<std::byte> owned_;  // of a WireLink
  bool is_foreign_ = false;
};

class Link {
 public:
  using Pair = std::pair<std::shared_ptr<Link>, std::shared_ptr<Link>>;
  static Pair make_pair(bool duplex);  // throws OsError

  // What names an end in a message.
  struct Parts {
    detail::SharedFd fd;
    Ways ways = Ways::both;
    memory::Ref in;  // of a FamilyLink
    memory::Ref out;
    std::vector<std::byte> state;  // of a WireLink
  };
  [[nodiscard]] virtual Parts parts() const = 0;  // throws NotSendable
  // An end that arrived in a message.  Throws Error when it is none.
  static std::shared_ptr<Link> arrived(Parts parts);

  virtual ~Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Blocks until there is room.  Throws OsError: EPIPE when nobody is left who could receive.
  virtual void send(const Outgoing& message) const = 0;
  // Blocks until there is a message.  Throws EndOfFile, and TypeMismatch when the next one has another type; then it
  // stays.  Nothing is taken when OsError is thrown; what is not of this library is taken and reported as Error.
  virtual void receive(std::uint64_t type, const std::type_info& wanted, Incoming& into) const = 0;
  // A message or the end of file is there, or comes by then.
  [[nodiscard]] virtual bool readable(Deadline deadline) const = 0;

  // For wait(), with what poll() has said of the descriptor: is there something to take?
  [[nodiscard]] virtual bool ready(bool descriptor_readable) const = 0;
  // The descriptor alone does not say it: messages may be in memory already, or be only half there.
  [[nodiscard]] virtual bool looks_inside() const noexcept = 0;

  [[nodiscard]] int fileno() const;  // of this end, until close()
  [[nodiscard]] detail::SharedFd descriptor() const;  // holds it open, also after close()
  void close() noexcept;
  [[nodiscard]] bool closed() const noexcept;

 protected:
  class Use;
  explicit Link(detail::SharedFd fd) noexcept;
  void wait_for(short events, const char* verb, Deadline deadline) const;  // or a little less: looks after close()

  detail::SharedFd fd_;

 private:
  [[nodiscard]] bool enter() noexcept;
  void leave() noexcept;
  void let_go() noexcept;
  virtual void let_go_of_more() noexcept {}

  // generation : 32 | closed : 1 | calls in progress : 31.  Calls of another generation were those of threads in the
  // process that this one was forked from.
  mutable std::atomic<std::uint64_t> state_;
};

class FamilyLink final : public Link {
 public:
  FamilyLink(detail::SharedFd fd, memory::Ref in, memory::Ref out, Ways ways);  // throws Error when it is none

  void send(const Outgoing& message) const override;
  void receive(std::uint64_t type, const std::type_info& wanted, Incoming& into) const override;
  [[nodiscard]] bool readable(Deadline deadline) const override;
  [[nodiscard]] bool ready(bool descriptor_readable) const override { return descriptor_readable; }
  [[nodiscard]] bool looks_inside() const noexcept override { return false; }
  [[nodiscard]] Parts parts() const override;

 private:
  void let_go_of_more() noexcept override;
  void require(Ways way, const char* verb) const;
  [[nodiscard]] bool take(std::uint64_t type, const std::type_info& wanted, Incoming& into) const;
  void spin_until_readable() const;

  memory::Ref in_;   // the Direction of what arrives here
  memory::Ref out_;  // … and of what is sent
  Ways ways_;
  std::size_t packet_limit_ = 0;  // bytes of a message that goes in one packet
};

[[noreturn]] void throw_mismatch(std::uint64_t found, std::uint64_t asked, const std::type_info& wanted);
// A link for handles that are empty, closed or moved from.
[[noreturn]] void throw_closed_connection(const char* verb);

}  // namespace multiprocessing::channel

#pragma GCC visibility pop
