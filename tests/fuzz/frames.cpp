// What the other side may say once it is known.
//
// input = chunk u8, bytes as they come after the handshake.  Messages are exactly the frames that were there.
#include <algorithm>

#include "fuzz/fuzz.hpp"
#include "multiprocessing/errors.hpp"
#include "wire/wire.hpp"

namespace {

using namespace multiprocessing;
using fuzz::Bytes;

constexpr std::uint64_t most = 4096;

Bytes frames(std::initializer_list<std::string_view> texts) {
  Bytes bytes{std::byte{7}};
  std::uint16_t kind = 0;
  for (const std::string_view text : texts) wire::append_frame(bytes, kind++, 99, std::as_bytes(std::span(text)));
  return bytes;
}

}  // namespace

FUZZ_TARGET(bytes) {
  Input input(bytes);
  const std::size_t chunk = 1 + input.byte();
  wire::Wire wire(wire::Wire::Resumed{most, most, {}});
  std::span<const std::byte> rest = input.rest();
  Bytes again;
  std::size_t given = 0;
  try {
    while (!rest.empty()) {
      const auto part = rest.first(std::min(chunk, rest.size()));
      rest = rest.subspan(part.size());
      given += part.size();
      wire.received(part);
      FUZZ_REQUIRE(wire.lacking() > 0);
      while (const auto message = wire.next()) {
        FUZZ_REQUIRE(message->bytes.size() <= most);
        wire::append_frame(again, message->kind, message->type, message->bytes);
      }
      // What was taken and what was not are all that came.
      const Bytes unread = wire.state().unread;
      FUZZ_REQUIRE(again.size() + unread.size() == given);
      FUZZ_REQUIRE(
          std::equal(unread.begin(), unread.end(), input.rest().begin() + static_cast<std::ptrdiff_t>(again.size())));
    }
  } catch (const Error&) {
    FUZZ_REQUIRE(wire.failed());
  }
  FUZZ_REQUIRE(std::equal(again.begin(), again.end(), input.rest().begin()));
}

FUZZ_SEEDS() { return {frames({}), frames({""}), frames({"one", "two", ""}), frames({std::string(5000, 'x')})}; }
