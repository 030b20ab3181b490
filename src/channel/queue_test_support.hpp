// What the tests of the queue share: a look inside, and items that tell whether they are whole.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>

#include "channel/queue_layout.hpp"
#include "memory/arena.hpp"
#include "memory/family.hpp"
#include "multiprocessing/queue.hpp"

namespace multiprocessing::testing {

using namespace std::chrono_literals;

// The shared object behind a queue: its handle travels as this.
template <class T>
memory::Ref ref_of(const Queue<T>& queue) {
  struct {
    memory::Ref ref;
    void carry(const memory::Ref& carried) { ref = carried; }
  } archive;
  queue.save(archive);
  return archive.ref;
}

template <class T>
channel::QueueHeader& header_of(const Queue<T>& queue) {
  return *static_cast<channel::QueueHeader*>(ref_of(queue).address());
}

inline channel::Segment& segment_at(std::uint64_t offset) {
  return *static_cast<channel::Segment*>(memory::Arena::get().at(offset, channel::ring_at));
}

template <class T>
channel::Segment& head_segment(const Queue<T>& queue) {
  return segment_at(header_of(queue).head_segment.load());
}

template <class T>
channel::Segment& tail_segment(const Queue<T>& queue) {
  return segment_at(header_of(queue).tail_segment.load());
}

// Segments from the consumers' to the last.
template <class T>
std::size_t chain_length(const Queue<T>& queue) {
  std::size_t length = 0;
  for (std::uint64_t at = header_of(queue).head_segment.load(); at != 0; at = segment_at(at).next.load()) ++length;
  return length;
}

// Runs of memory that the queue owns: its segments and, between a death and the next link, a spare one.
template <class T>
std::size_t owned_runs(const Queue<T>& queue) {
  memory::Arena& arena = memory::Arena::get();
  const memory::Ref ref = ref_of(queue);
  const memory::Arena::Locked locked(arena);
  std::size_t runs = 0;
  const auto* pages = reinterpret_cast<const memory::PageInfo*>(reinterpret_cast<const char*>(&arena.header()) +
                                                                arena.header().pages_at);
  for (std::uint64_t at = arena.object(ref.index()).runs.load(); at != 0; at = pages[at - 1].next.load()) ++runs;
  return runs;
}

// Until somebody has announced to sleep (event_count.hpp: the lowest bit), and is about to if it does not already.
inline void wait_for_a_sleeper(const sync::EventCount& event) {
  const auto& word = reinterpret_cast<const std::atomic<std::uint32_t>&>(event);
  while ((word.load() & 1U) == 0) std::this_thread::yield();
}

// Makes an empty queue believe that `number` messages have gone through it already.
template <class T>
void begin_at(const Queue<T>& queue, std::uint32_t number) {
  channel::QueueHeader& header = header_of(queue);
  channel::Segment& segment = head_segment(queue);
  const std::uint64_t cursor = channel::Cursor{number, 0}.word();
  for (channel::Word* word : {&segment.tail, &segment.head, &segment.head_seen, &segment.tail_seen})
    word->store(cursor);
  for (channel::Word* word : {&header.puts, &header.takes, &header.takes_seen}) word->store(number);
}

// An item of `bytes` bytes that no other (seed, bytes) makes.
inline std::string patterned(std::uint64_t seed, std::size_t bytes) {
  std::string item(bytes, '\0');
  std::uint64_t state = seed * 0x9e3779b97f4a7c15U + bytes;
  for (char& c : item) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    c = static_cast<char>(state >> 56);
  }
  return item;
}

}  // namespace multiprocessing::testing
