// What a stranger may say before it is known: to a listener, to a client, with a key or without, with TLS or without.
//
// input = mode u8, chunk u8, bytes as they come.  Whatever they are, who has a key lets nobody in.
#include <algorithm>
#include <memory>

#include "fuzz/fuzz.hpp"
#include "multiprocessing/errors.hpp"
#include "wire/wire.hpp"

namespace {

using namespace multiprocessing;
using fuzz::Bytes;

constexpr std::uint8_t as_client = 1;
constexpr std::uint8_t keyed = 2;
constexpr std::uint8_t with_tls = 4;

const std::string key = "a key of more than 16 bytes";

wire::Nonce nonce_of(wire::Role role) {
  wire::Nonce nonce;
  nonce.fill(static_cast<std::byte>(role));
  return nonce;
}

wire::Options options(wire::Role role, std::uint8_t mode) {
  wire::Options made{.key = (mode & keyed) != 0 ? key : "", .max_message = 4096, .nonce = nonce_of(role)};
  if ((mode & with_tls) != 0) {
    static const auto listener = std::make_shared<wire::TlsContext>(wire::Role::listener, key, TlsOptions{});
    static const auto client = std::make_shared<wire::TlsContext>(wire::Role::client, key, TlsOptions{});
    made.tls = role == wire::Role::listener ? listener : client;
    made.security = role == wire::Role::listener ? wire::Security::either : wire::Security::tls;
  }
  return made;
}

wire::Role role_of(std::uint8_t mode) { return (mode & as_client) != 0 ? wire::Role::client : wire::Role::listener; }

// What the other side says to this one, when it knows the key.
Bytes honest(std::uint8_t mode) {
  wire::Wire own(role_of(mode), options(role_of(mode), mode));
  const wire::Role other = role_of(mode) == wire::Role::client ? wire::Role::listener : wire::Role::client;
  wire::Wire peer(other, options(other, mode));
  Bytes said{static_cast<std::byte>(mode), std::byte{0}};
  for (bool some = true; some;) {
    const Bytes there = peer.take_outgoing();
    fuzz::append(said, there);
    own.received(there);
    const Bytes back = own.take_outgoing();
    peer.received(back);
    some = !there.empty() || !back.empty();
  }
  return said;
}

}  // namespace

FUZZ_TARGET(bytes) {
  Input input(bytes);
  const std::uint8_t mode = input.byte();
  const std::size_t chunk = 1 + input.byte();
  if ((mode & with_tls) != 0 && (mode & keyed) == 0) return;
  // The honest words of a peer with these very nonces are let in, and rightly so, by a listener that takes either, too;
  // of TLS itself no nonce is fixed.
  const Bytes right = honest(mode & (as_client | keyed));
  wire::Wire wire(role_of(mode), options(role_of(mode), mode));
  std::span<const std::byte> rest = input.rest();
  try {
    while (!rest.empty()) {
      const auto part = rest.first(std::min(chunk, rest.size()));
      rest = rest.subspan(part.size());
      wire.received(part);
    }
  } catch (const Error&) {
    FUZZ_REQUIRE(wire.failed() && !wire.established());
  }
  const auto said = input.rest();
  const bool honest_words = said.size() >= right.size() - 2 && std::equal(right.begin() + 2, right.end(), said.begin());
  FUZZ_REQUIRE((mode & keyed) == 0 || !wire.established() || honest_words);
}

FUZZ_SEEDS() {
  Seeds all;
  for (const std::uint8_t mode : std::initializer_list<std::uint8_t>{0, 1, 2, 3, 6, 7}) all.push_back(honest(mode));
  return all;
}
