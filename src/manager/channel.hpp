// How calls reach the server of a manager within its family: through shared memory.
//
//   Root      one per manager.  State of the server, a bell, and a table of channels.
//   Channel   one per call that a process has on its way, kept for the next; made and held by the client.
//
//     client                                            server (one thread)
//       write request                                     take the bits of `ready`
//       asked = n                 (commit: call n)        asked == answered + 1: copy the request out, carry it out
//       ready |= my bit; bell                             write answer
//       …                                                 answered = n        (commit: call n is answered)
//       read answer                                       notify the channel
//       taken = n                 (commit: it was received)
//
//   died …                          what the others see
//   client, before asked              nothing was called; its place in the table is freed
//   client, asked, bit not set        the server, who looks over all places now and then, carries it out, or frees the place
//   client, in the call               the server stops what waits for it, and gives back what it held (FAULTS 30)
//   client, answered, not taken       the server takes the effect back where it would be lost (an item of a queue)
//   client, after taken               the client had it
//   client, place set, never adopted  adopting its channel fails, for it died with its maker: the place is freed
//   server, anywhere                  its name in Root is that of nobody: ManagerDied, within 100 ms
//
// Requests and answers too long for their place in the channel lie in blocks (memory::take_block), which are named there.
// The server copies a request out before it looks at it; everything in a channel may be scribbled on by its client, who
// harms nobody else.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "sync/event_count.hpp"

namespace multiprocessing::managers {

using Word = std::atomic<std::uint64_t>;

inline constexpr std::size_t inline_bytes = 2048;

struct Channel {
  // Written by the client.
  alignas(64) Word asked;
  Word taken;
  std::uint64_t request_bytes;
  std::uint64_t request_block;  // id; 0: the request is below
  std::uint64_t member;         // the client, as memory::self_name() has it; written once
  std::uint64_t pid;
  // Written by the server.
  alignas(64) Word answered;
  std::uint64_t answer_bytes;
  std::uint64_t answer_block;
  sync::EventCount answers;
  alignas(64) std::byte request[inline_bytes];
  alignas(64) std::byte answer[inline_bytes];
};

inline constexpr std::size_t bits = 64;
inline constexpr std::size_t most_channels = bits * bits;

enum class State : std::uint64_t { starting, serving, failed, ended };

struct Root {
  std::uint64_t magic;
  std::array<char, 16> manager;  // which one this is
  Word state;
  Word server;  // as memory::self_name() has it
  Word wish;    // 1: the server is to end
  sync::EventCount changed;  // of `state`
  std::uint32_t text_bytes;  // serving: the address; failed: why
  std::array<char, 1024> text;
  alignas(64) sync::EventCount bell;
  Word ready_words;  // bit i: there is something in ready[i]
  alignas(64) Word ready[bits];
  Word places[most_channels];  // ids of channels; 0: free
};
inline constexpr std::uint64_t root_magic = 0x31746f6f72'6d6d00U;

// What the holders of a served object hold, in the family of its server.
struct Companion {
  std::uint64_t root;  // id
  std::uint64_t object;
};

inline void ring(Root& root, std::size_t place) noexcept {
  root.ready[place / bits].fetch_or(std::uint64_t{1} << place % bits, std::memory_order_release);
  root.ready_words.fetch_or(std::uint64_t{1} << place / bits, std::memory_order_release);  // sync(manager-ready)
  root.bell.notify_after_release();
}

}  // namespace multiprocessing::managers
