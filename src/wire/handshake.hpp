// Handshake: two ends of a byte stream show each other that they know the same key (docs/formats/wire.md).
//
//   client ─► listener   hello                       magic, version, role, keyed, largest message, nonce
//   listener ─► client   hello
//   client ─► listener   proof                       HMAC-SHA256(key, "… client" hello_l hello_c binding)
//   listener ─► client   verdict, proof              HMAC-SHA256(key, "… listener" hello_l hello_c binding)
//
// Invariants
//   1. The listener says nothing before the client has: who only connects learns nothing.
//   2. Both hellos, hence both nonces and roles, are in each proof, and the labels differ: nothing that one side has
//      said can be said back to it.
//   3. Digest and order are fixed; of an unknown version nothing is believed but its number.
//   4. No more is kept than the longest part (52 bytes); what follows the handshake is given back to the caller.
// No I/O and no clock: deadlines are the caller's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace multiprocessing::wire {

enum class Role : std::uint8_t { listener = 1, client = 2 };

inline constexpr std::uint16_t protocol_version = 1;
inline constexpr std::size_t shortest_key = 16;
inline constexpr std::size_t nonce_bytes = 32;
inline constexpr std::size_t proof_bytes = 32;
inline constexpr std::size_t hello_bytes = 52;
inline constexpr std::size_t first_versions_bytes = 10;  // magic and version: the same in every version

using Nonce = std::array<std::byte, nonce_bytes>;
using Digest = std::array<std::byte, proof_bytes>;

// Throws std::invalid_argument for a key that is not empty and too short; the text says what to do.
void require_good_key(std::string_view key);
[[nodiscard]] Digest hmac_sha256(std::string_view key, std::span<const std::byte> data);

class Handshake {
 public:
  // An empty key: no proofs.  `nonce` is for tests and fuzzers only; else it is random (throws OsError).
  Handshake(Role role, std::string key, std::uint64_t max_message, std::optional<Nonce> nonce = {});

  // Goes into the proofs: what only the two ends of this very TLS session know.  Before the first received().
  void bind(std::span<const std::byte> secret) { binding_.assign(secret.begin(), secret.end()); }

  // Takes what belongs to the handshake and returns the rest.  Throws AuthenticationError, or Error for what is no
  // hello; what is to be told to the other side is in outgoing() then, too.
  std::span<const std::byte> received(std::span<const std::byte> bytes);

  [[nodiscard]] bool done() const noexcept { return stage_ == Stage::done; }
  [[nodiscard]] std::size_t lacking() const noexcept;  // bytes of the part that is awaited
  [[nodiscard]] std::uint64_t peer_max_message() const noexcept { return peer_max_message_; }
  [[nodiscard]] std::vector<std::byte>& outgoing() noexcept { return outgoing_; }

 private:
  enum class Stage { hello, proof, verdict, done };
  [[nodiscard]] std::size_t wanted() const noexcept;
  void look_at_start();
  void take_hello();
  void take_proof();
  void take_verdict();
  void say(std::span<const std::byte> bytes) { outgoing_.insert(outgoing_.end(), bytes.begin(), bytes.end()); }
  [[nodiscard]] Digest proof_of(Role role) const;

  Role role_;
  std::string key_;
  Stage stage_ = Stage::hello;
  std::array<std::byte, hello_bytes> own_hello_;
  std::array<std::byte, hello_bytes> peer_hello_{};
  std::vector<std::byte> binding_;
  std::vector<std::byte> part_;
  std::vector<std::byte> outgoing_;
  std::uint64_t peer_max_message_ = 0;
};

}  // namespace multiprocessing::wire
