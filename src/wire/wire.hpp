// Wire: one end of an authenticated stream of messages, without I/O: bytes that came go in, bytes to be sent come out.
//
//   Wire wire(Role::listener, {.key = key});
//   wire.received(bytes);                              // throws what must be refused: then send outgoing(), and close
//   while (auto message = wire.next()) …               // whole messages, in order
//   wire.send(kind, type, bytes);                      // REQUIRES: wire.established()
//   wire.sent(write(fd, wire.outgoing()));             // until it is empty
//
// The layers, from the socket upward: TLS where asked for (tls.hpp), the handshake (handshake.hpp), frames
// (frames.hpp).  Every byte is in docs/formats/wire.md.
//
// Invariants
//   1. Nothing is a message before the other side has shown that it knows the key.
//   2. Before that at most 52 bytes are kept, and of TLS what OpenSSL keeps of 64 KiB at the most.  After it, memory
//      follows what has come, never what is announced.
//   3. After an exception of received() the Wire gives what is in outgoing() and nothing else.
// Threads: one at a time.  Deadlines, limits of how many and who may connect at all are the caller's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "wire/frames.hpp"
#include "wire/handshake.hpp"
#include "wire/tls.hpp"

namespace multiprocessing::wire {

inline constexpr std::uint64_t default_max_message = std::uint64_t{64} << 20;
inline constexpr std::size_t most_tls_handshake = 64 * 1024;

enum class Security : std::uint8_t {
  plain,
  tls,
  either,  // of a listener: as the client begins
};

struct Options {
  std::string key{};                                // empty: who may connect has been settled by other means
  std::uint64_t max_message = default_max_message;  // the longest that is taken; the other side is told
  Security security = Security::plain;
  std::shared_ptr<const TlsContext> tls{};  // REQUIRES: there, unless plain
  std::string host{};                       // of a client with certificates: whom it means
  std::optional<Nonce> nonce{};             // for tests and fuzzers only
};

class Wire {
 public:
  Wire(Role role, Options options);
  // An established end without TLS that comes from another process: unread() is what it had received.
  struct Resumed {
    std::uint64_t max_message = 0;
    std::uint64_t peer_max_message = 0;
    std::vector<std::byte> unread{};
  };
  explicit Wire(const Resumed& state);
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  ~Wire();

  // Throws AuthenticationError, or Error for anything else that must be refused; the Wire is unusable then.
  void received(std::span<const std::byte> bytes);
  [[nodiscard]] bool established() const noexcept { return !handshake_ && !failed_; }
  [[nodiscard]] bool failed() const noexcept { return failed_; }

  [[nodiscard]] std::optional<Message> next() { return frames_.next(); }
  [[nodiscard]] bool has_message() const noexcept { return frames_.has_message(); }

  // Queues a frame.  Throws NotSendable, and queues nothing, when it is longer than the other side takes; Error when
  // this end is not established.
  void send(std::uint16_t kind, std::uint64_t type, std::span<const std::byte> bytes);
  [[nodiscard]] std::span<const std::byte> outgoing() const noexcept { return std::span(out_).subspan(sent_); }
  void sent(std::size_t bytes) noexcept;                 // so many of outgoing() went
  [[nodiscard]] std::vector<std::byte> take_outgoing();  // all of it, for who sends it himself

  // For who reads no further than one message (frames.hpp).  Without TLS: bytes up to the next point to look at.
  [[nodiscard]] std::size_t lacking() const noexcept;
  [[nodiscard]] std::optional<FrameHeader> front() const noexcept { return frames_.front(); }
  [[nodiscard]] bool lacks_only_end() const noexcept { return established() && !tls_ && frames_.lacks_only_end(); }
  // Nothing has come of a message that is not whole.
  [[nodiscard]] bool is_between_messages() const noexcept { return frames_.is_between_frames(); }
  [[nodiscard]] bool has_tls() const noexcept { return tls_ != nullptr; }

  [[nodiscard]] Resumed state() const;  // REQUIRES: established, without TLS, nothing outgoing

 private:
  void decide(std::byte first);
  void begin_tls();
  void dispatch(std::span<const std::byte> bytes);
  void take(std::span<const std::byte> plain);
  void say_handshake();
  void put(std::span<const std::byte> plain);
  void collect_tls();

  Options options_;
  std::optional<Handshake> handshake_;  // until it is done
  std::unique_ptr<TlsSession> tls_;
  bool undecided_ = false;
  bool failed_ = false;
  std::size_t tls_handshake_bytes_ = 0;
  std::uint64_t peer_max_message_ = 0;
  FrameReader frames_;
  std::vector<std::byte> out_;
  std::size_t sent_ = 0;
};

}  // namespace multiprocessing::wire
