// WireLink: a connection over a stream socket, to whoever has passed the handshake (wire/wire.hpp).
//
// Invariants
//   1. Without TLS no byte beyond the first message is read, and of that not the last one (wire/frames.hpp) before the
//      message is taken: the descriptor polls readable exactly while there is something, also for another process that
//      the connection is handed to.
//   2. receiving_ is held while bytes are moved, never while somebody waits.  sending_ is held for a whole frame, so that
//      those of two threads never mix; it may take as long as the other side does.  wire_lock_ is the innermost.
//   3. Who waits for room to send takes in what the other side sends meanwhile, one message at the most: two sides that
//      send each other a long one at the same time both go on.
//   4. After a frame that is none, or a send that was cut short, the stream means nothing any more: broken_.
//
//  the peer died …                       what this side sees
//   before a frame's first byte          EndOfFile
//   in the middle of a frame             EndOfFile, whose text says so; never a part of the message
//   after a frame's last byte            the message, then EndOfFile
// No arena is involved, and so nothing of the family: handles and descriptors are refused by send().
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "channel/fork_lock.hpp"
#include "multiprocessing/detail/link.hpp"
#include "wire/wire.hpp"

namespace multiprocessing::channel {

class WireLink final : public Link {
 public:
  struct Options {
    std::chrono::milliseconds idle_timeout{0};  // 0: none
    std::shared_ptr<const void> place{};        // among those that its listener has; let go of when it is closed
  };
  WireLink(detail::SharedFd fd, std::unique_ptr<wire::Wire> wire, Options options);
  static std::shared_ptr<Link> arrived(detail::SharedFd fd, std::span<const std::byte> state);

  void send(const Outgoing& message) const override;
  void receive(std::uint64_t type, const std::type_info& wanted, Incoming& into) const override;
  [[nodiscard]] bool readable(Deadline deadline) const override;
  [[nodiscard]] bool ready(bool descriptor_readable) const override;
  [[nodiscard]] bool looks_inside() const noexcept override { return true; }
  [[nodiscard]] Parts parts() const override;  // NotSendable with TLS

 private:
  enum class There { nothing, message, end };
  [[nodiscard]] There look() const;
  [[nodiscard]] There look_locked() const;
  [[nodiscard]] bool is_ours() const;
  [[nodiscard]] There read_more() const;
  void take(Incoming& into) const;
  void flush(std::span<const std::byte> bytes) const;
  void wait_for_room() const;
  void break_off(const std::string& why) const noexcept;
  void let_go_of_more() noexcept override;

  std::unique_ptr<wire::Wire> wire_;
  Options options_;
  mutable ForkLock sending_;
  mutable ForkLock receiving_;
  mutable ForkLock wire_lock_;
  mutable std::atomic<bool> sends_broken_{false};
  mutable std::string broken_;  // under receiving_: why nothing can be received any more
  mutable bool ended_ = false;  // under receiving_
  mutable Deadline::Clock::time_point heard_ = Deadline::Clock::now();
};

}  // namespace multiprocessing::channel
