#include "wire/handshake.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "base/error.hpp"
#include "multiprocessing/errors.hpp"
#include "os/os.hpp"
#include "wire/bytes.hpp"

namespace multiprocessing::wire {
namespace {

constexpr std::string_view magic = "mp-wire\n";
constexpr std::size_t version_at = 8;
constexpr std::size_t role_at = 10;
constexpr std::size_t keyed_at = 11;
constexpr std::size_t max_message_at = 12;
constexpr std::size_t nonce_at = 20;
static_assert(nonce_at + nonce_bytes == hello_bytes && version_at + 2 == first_versions_bytes);

constexpr std::byte welcome{1};
constexpr std::byte refused{0};

std::string_view label_of(Role role) {
  return role == Role::listener ? "multiprocessing 1 listener" : "multiprocessing 1 client";
}

const char* name_of(Role role) { return role == Role::listener ? "listener" : "client"; }
Role other(Role role) { return role == Role::listener ? Role::client : Role::listener; }

}  // namespace

void require_good_key(std::string_view key) {
  if (key.empty() || key.size() >= shortest_key) return;
  throw std::invalid_argument(
      "an authkey of " + std::to_string(key.size()) + " bytes can be guessed: " + std::to_string(shortest_key) +
      " are the fewest (32 random ones are good, as of `openssl rand -hex 32`, from a file that "
      "only you can read)");
}

Digest hmac_sha256(std::string_view key, std::span<const std::byte> data) {
  Digest digest;
  unsigned size = 0;
  if (::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(data.data()), data.size(),
             reinterpret_cast<unsigned char*>(digest.data()), &size) == nullptr ||
      size != digest.size()) {
    throw Error("HMAC-SHA256: OpenSSL cannot compute it");
  }
  return digest;
}

Handshake::Handshake(Role role, std::string key, std::uint64_t max_message, std::optional<Nonce> nonce)
    : role_(role), key_(std::move(key)) {
  require_good_key(key_);
  if (!nonce) {
    nonce.emplace();
    if (const int error = os::random_bytes(*nonce); error < 0) base::throw_os_error("getrandom", "a nonce", -error);
  }
  std::memcpy(own_hello_.data(), magic.data(), magic.size());
  put_u16(&own_hello_[version_at], protocol_version);
  own_hello_[role_at] = static_cast<std::byte>(role);
  own_hello_[keyed_at] = static_cast<std::byte>(!key_.empty());
  put_u64(&own_hello_[max_message_at], max_message);
  std::copy(nonce->begin(), nonce->end(), own_hello_.begin() + nonce_at);
  if (role == Role::client) say(own_hello_);
}

std::size_t Handshake::wanted() const noexcept {
  switch (stage_) {
    case Stage::hello:
      return hello_bytes;
    case Stage::proof:
      return proof_bytes;
    case Stage::verdict:
      // The word of a refusal comes alone.
      return part_.empty() || part_[0] != welcome ? 1 : 1 + proof_bytes;
    case Stage::done:
      break;
  }
  return 0;
}

std::size_t Handshake::lacking() const noexcept { return wanted() - std::min(wanted(), part_.size()); }

std::span<const std::byte> Handshake::received(std::span<const std::byte> bytes) {
  while (!done() && !bytes.empty()) {
    const std::size_t now = std::min(lacking(), bytes.size());
    part_.insert(part_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(now));
    bytes = bytes.subspan(now);
    if (stage_ == Stage::hello) look_at_start();
    if (lacking() != 0) continue;
    switch (stage_) {
      case Stage::hello:
        take_hello();
        break;
      case Stage::proof:
        take_proof();
        break;
      case Stage::verdict:
        take_verdict();
        break;
      case Stage::done:
        break;
    }
    part_.clear();
  }
  return bytes;
}

// Refuses at the first byte that is wrong; a version that is not ours may have a hello of another length.
void Handshake::look_at_start() {
  const std::size_t seen = std::min(part_.size(), magic.size());
  if (std::memcmp(part_.data(), magic.data(), seen) != 0) {
    throw Error("what is said is not the protocol of multiprocessing");
  }
  if (part_.size() < first_versions_bytes) return;
  const std::uint16_t version = get_u16(&part_[version_at]);
  if (version == protocol_version) return;
  if (role_ == Role::listener) say(own_hello_);  // the client learns of it, too
  throw Error("the " + std::string(name_of(other(role_))) + " speaks version " + std::to_string(version) +
              " of the protocol, this " + name_of(role_) + " version " + std::to_string(protocol_version) +
              ": they need the same version of the library");
}

void Handshake::take_hello() {
  std::copy(part_.begin(), part_.end(), peer_hello_.begin());
  if (role_ == Role::listener) say(own_hello_);  // also before a refusal
  if (peer_hello_[role_at] != static_cast<std::byte>(other(role_))) {
    throw AuthenticationError("the other side is no " + std::string(name_of(other(role_))));
  }
  if (peer_hello_[keyed_at] > std::byte{1}) throw Error("the hello of the other side is damaged");
  const bool peer_keyed = peer_hello_[keyed_at] == std::byte{1};
  if (peer_keyed == key_.empty()) {
    throw AuthenticationError(key_.empty() ? "the other side wants an authkey, and this one has none"
                                           : "the other side has no authkey, and this one wants one");
  }
  if (std::equal(own_hello_.begin() + nonce_at, own_hello_.end(), peer_hello_.begin() + nonce_at)) {
    throw AuthenticationError("the other side says our own words back to us");
  }
  peer_max_message_ = get_u64(&peer_hello_[max_message_at]);
  if (key_.empty()) {
    stage_ = Stage::done;
  } else if (role_ == Role::listener) {
    stage_ = Stage::proof;
  } else {
    say(proof_of(Role::client));
    stage_ = Stage::verdict;
  }
}

void Handshake::take_proof() {
  const Digest right = proof_of(Role::client);
  if (CRYPTO_memcmp(right.data(), part_.data(), right.size()) != 0) {
    say({&refused, 1});
    throw AuthenticationError("the client has another authkey");
  }
  say({&welcome, 1});
  say(proof_of(Role::listener));
  stage_ = Stage::done;
}

void Handshake::take_verdict() {
  if (part_[0] == refused) throw AuthenticationError("the listener refuses: it has another authkey");
  if (part_[0] != welcome) throw Error("the listener's verdict is damaged");
  const Digest right = proof_of(Role::listener);
  if (CRYPTO_memcmp(right.data(), part_.data() + 1, right.size()) != 0) {
    throw AuthenticationError("the listener has another authkey");
  }
  stage_ = Stage::done;
}

Digest Handshake::proof_of(Role role) const {
  const auto& listener = role_ == Role::listener ? own_hello_ : peer_hello_;
  const auto& client = role_ == Role::listener ? peer_hello_ : own_hello_;
  const std::string_view label = label_of(role);
  std::vector<std::byte> data;
  data.reserve(label.size() + 1 + listener.size() + client.size() + binding_.size());
  const auto add = [&data](std::span<const std::byte> part) { data.insert(data.end(), part.begin(), part.end()); };
  add(std::as_bytes(std::span(label)));
  data.push_back(std::byte{0});  // ends the label
  add(listener);
  add(client);
  add(binding_);
  return hmac_sha256(key_, data);
}

}  // namespace multiprocessing::wire
