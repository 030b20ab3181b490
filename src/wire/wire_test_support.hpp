// What the tests of wires share: two ends in one process.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "wire/wire.hpp"

namespace multiprocessing::testing {

inline const std::string good_key = "a key of more than 16 bytes";
inline const std::string other_key = "another key of more than 16";

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::vector<std::byte> taken(wire::Wire& from) {
  std::vector<std::byte> bytes(from.outgoing().begin(), from.outgoing().end());
  from.sent(bytes.size());
  return bytes;
}

// Carries what one end says to the other, `step` bytes at a time, until nobody has anything to say.
inline void carry(wire::Wire& one, wire::Wire& other, std::size_t step = std::size_t{1} << 20) {
  for (bool some = true; some;) {
    some = false;
    for (const auto& [from, to] : {std::pair{&one, &other}, std::pair{&other, &one}}) {
      const std::vector<std::byte> bytes = taken(*from);
      for (std::size_t at = 0; at < bytes.size(); at += step) {
        to->received(std::span(bytes).subspan(at, std::min(step, bytes.size() - at)));
      }
      some = some || !bytes.empty();
    }
  }
}

// The text of the Error that received() throws; "": none.
inline std::string refusal(wire::Wire& wire, std::span<const std::byte> bytes) {
  try {
    wire.received(bytes);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace multiprocessing::testing
