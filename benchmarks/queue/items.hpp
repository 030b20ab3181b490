// The items that travel, and the proof that they arrived.
//
// Each item carries a stamp (producer and sequence number), repeated through its whole length: in every word of a
// small item, at the head of every page of a large one (with --dense of every cache line, with --head of the first
// page alone).  Producers write all stamps of each item and consumers compare all of them, so both sides touch the data
// to the same extent whatever the transport, and a torn, lost, doubled or reordered item fails the run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "harness/sample.hpp"
#include "harness/team.hpp"

namespace bench {

struct Small {  // 64 bytes: a cache line
  std::array<std::uint64_t, 8> words{};
};
using Large = std::vector<std::byte>;

template <class Item>
constexpr std::size_t kStride = 0;
template <>
inline constexpr std::size_t kStride<Small> = sizeof(std::uint64_t);
template <>
inline constexpr std::size_t kStride<Large> = 4096;

inline Small blank(const Small*, std::size_t) { return {}; }
inline Large blank(const Large*, std::size_t bytes) { return Large(bytes); }

inline std::span<std::byte> bytes_of(Small& item) { return std::as_writable_bytes(std::span{item.words}); }
inline std::span<const std::byte> bytes_of(const Small& item) { return std::as_bytes(std::span{item.words}); }
inline std::span<std::byte> bytes_of(Large& item) { return item; }
inline std::span<const std::byte> bytes_of(const Large& item) { return item; }

constexpr std::uint64_t make_stamp(std::size_t producer, std::size_t sequence) {
  return (std::uint64_t{sequence} << 8U) | producer;
}

inline void write_stamp(std::span<std::byte> bytes, std::uint64_t stamp, std::size_t stride) {
  for (std::size_t at = 0; at + sizeof stamp <= bytes.size(); at += stride)
    std::memcpy(bytes.data() + at, &stamp, sizeof stamp);
}

// Checks what one consumer receives; tally() is what it adds to the team's total.
template <class Item>
class Inspector {
 public:
  Inspector(std::size_t producers, std::size_t bytes, std::size_t stride = kStride<Item>)
      : next_(producers), bytes_{bytes}, stride_{stride} {}

  void inspect(std::span<const std::byte> item) {
    require(item.size() == bytes_, "an item changed its size");
    std::uint64_t stamp = 0;
    std::memcpy(&stamp, item.data(), sizeof stamp);
    std::uint64_t differences = 0;
    for (std::size_t at = stride_; at + sizeof stamp <= item.size(); at += stride_) {
      std::uint64_t other = 0;
      std::memcpy(&other, item.data() + at, sizeof other);
      differences |= stamp ^ other;
    }
    require(differences == 0, "an item is damaged");
    check_order(stamp);
    tally_.count += 1;
    tally_.checksum += stamp;
  }

  Tally tally() const { return tally_; }

 private:
  // Consumers share the items of a producer, so each sees an increasing part of its sequence.
  void check_order(std::uint64_t stamp) {
    const std::size_t producer = stamp & 0xffU;
    const std::uint64_t sequence = stamp >> 8U;
    require(producer < next_.size(), "an item names a producer that does not exist");
    require(sequence >= next_[producer], "items of one producer arrive out of order");
    next_[producer] = sequence + 1;
  }

  std::vector<std::uint64_t> next_;  // per producer: the lowest sequence number that may still come
  std::size_t bytes_;
  std::size_t stride_;
  Tally tally_;
};

inline Tally expected(std::size_t producers, std::size_t items_each) {
  Tally all;
  for (std::size_t producer = 0; producer < producers; ++producer)
    for (std::size_t sequence = 0; sequence < items_each; ++sequence) {
      all.count += 1;
      all.checksum += make_stamp(producer, sequence);
    }
  return all;
}

}  // namespace bench
