#include "storm/items.hpp"

#include <algorithm>
#include <cstring>

namespace multiprocessing::storm {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

Random random_of(const Name& name) { return Random(name.producer << 32 ^ name.sequence); }

std::size_t payload_size(const Name& name) {
  Random random = random_of(name);
  const std::uint64_t kind = random.below(8'000);
  if (kind == 0) return 16 * mib + random.below(4 * mib);
  if (kind <= 4) return random.below(3 * mib);
  if (kind <= 160) return 48'000 + random.below(60'000);
  return random.below(300);
}

// Word i of a payload: cheap, and another one at any other place, or of any other item.
struct Pattern {
  std::uint64_t start;
  explicit Pattern(const Name& name) : start(random_of(name).next()) {}
  [[nodiscard]] std::uint64_t word(std::size_t i) const { return start + i * 0x9e3779b97f4a7c15U; }
};

void fill(std::span<char> bytes, const Name& name) {
  const Pattern pattern(name);
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t word = pattern.word(at);
    std::memcpy(bytes.data() + at, &word, std::min(sizeof word, bytes.size() - at));
  }
}

std::string damage_of(std::span<const char> bytes, const Name& name) {
  const std::size_t size = payload_size(name);
  if (bytes.size() != size) return std::to_string(bytes.size()) + " bytes instead of " + std::to_string(size);
  const Pattern pattern(name);
  for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = pattern.word(at);
    if (std::memcmp(bytes.data() + at, &word, std::min(sizeof word, size - at)) != 0) {
      return "damaged at byte " + std::to_string(at) + " of " + std::to_string(size);
    }
  }
  return {};
}

}  // namespace

Item make_item(const Name& name) {
  Item item{name, std::string(payload_size(name), '\0'), {}, {}, {}};
  fill(item.payload, name);
  // At least once, as the item itself may come: when its taker has died, the next one finds the number there again.
  if (name.sequence % 128 == 17) item.queues.emplace_back(0, Delivery::at_least_once).put(name.sequence);
  if (name.sequence % 128 == 49) item.values.emplace_back(name.sequence);
  if (name.sequence % 128 == 81) item.arrays.emplace_back(std::vector<std::uint64_t>(name.sequence, name.sequence));
  return item;
}

Seen look_at(const Item& item) {
  const std::uint64_t sequence = item.name.sequence;
  Seen seen{item.name, damage_of(item.payload, item.name)};
  for (const auto& queue : item.queues) {
    if (queue.try_get() != sequence) seen.wrong += " its queue is damaged";
  }
  for (const auto& value : item.values) {
    if (value.get() != sequence) seen.wrong += " its value is damaged";
  }
  for (const auto& array : item.arrays) {
    if (array.size() != sequence ||
        std::ranges::count(array.span(), sequence) != static_cast<std::ptrdiff_t>(sequence)) {
      seen.wrong += " its array is damaged";
    }
  }
  return seen;
}

std::size_t frame_size(const Name& name) { return sizeof(Name) + payload_size(name); }

void write_frame(std::span<char> frame, const Name& name) {
  std::memcpy(frame.data(), &name, sizeof name);
  fill(frame.subspan(sizeof name), name);
}

Frame make_frame(const Name& name) {
  Frame frame(frame_size(name), '\0');
  write_frame(frame, name);
  return frame;
}

Seen look_at(std::span<const char> frame) {
  Seen seen;
  if (frame.size() < sizeof(Name)) return {{}, "a frame of " + std::to_string(frame.size()) + " bytes"};
  std::memcpy(&seen.name, frame.data(), sizeof(Name));
  seen.wrong = damage_of(frame.subspan(sizeof(Name)), seen.name);
  return seen;
}

}  // namespace multiprocessing::storm
