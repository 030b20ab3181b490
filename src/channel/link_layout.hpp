// What a connection keeps in shared memory, and how a message lies in its packet.  docs/formats/connection.md.
//
//   Direction   one for each way: two locks, the numbers of messages with handles; the cargo of such messages hangs on
//               it (memory/arena.hpp)
//   packet      PacketHeader, then the content; or ballast, when the content is too large and comes as a sealed file,
//               the first descriptor of the packet
//   content     handles × 8 bytes of ids, then the bytes of the message
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "memory/layout.hpp"
#include "os/os.hpp"
#include "sync/robust_lock.hpp"

namespace multiprocessing::channel {

using memory::Word;

struct Direction {
  std::uint64_t magic;
  alignas(64) sync::RobustLock senders;  // of messages with handles: their numbers are their order in the socket
  Word next;                             // number of the next such message
  Word sent;                             // those before this number are in the socket, or never will be
  alignas(64) sync::RobustLock receivers;
};

struct PacketHeader {
  std::uint32_t magic;
  std::uint16_t large;        // 1: the content is in the first descriptor
  std::uint16_t descriptors;  // of the message, the one of the content not counted
  std::uint64_t type;
  std::uint64_t bytes;
  std::uint32_t handles;
  std::uint32_t cargo_limit;  // whoever takes this message has taken all whose numbers are below
};

static_assert(std::has_unique_object_representations_v<PacketHeader> && sizeof(PacketHeader) == 32);

inline constexpr std::uint64_t direction_magic = 0x317274636572'6964U;
inline constexpr std::uint32_t packet_magic = 0x6d70636eU;
inline constexpr std::size_t most_carried = os::most_descriptors - 1;
inline constexpr std::size_t largest_packet = std::size_t{48} << 10;  // content that goes without a file
// So that no more than a handful of large messages are on their way: without it the socket would take some 270, of any
// size.  A file of its own is no place to wait in.
inline constexpr std::size_t largest_ballast = std::size_t{24} << 10;
inline constexpr std::uint32_t most_message_handles = std::uint32_t{1} << 24;
inline constexpr std::uint64_t longest_content = (std::uint64_t{1} << 40) - 1;

}  // namespace multiprocessing::channel
