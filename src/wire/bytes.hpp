// Integers of the wire: little endian, whatever the machine.
#pragma once

#include <cstddef>
#include <cstdint>

namespace multiprocessing::wire {

template <class Integer>
void put_integer(std::byte* to, Integer value) noexcept {
  for (std::size_t i = 0; i < sizeof value; ++i) to[i] = static_cast<std::byte>(value >> (8 * i));
}
template <class Integer>
[[nodiscard]] Integer get_integer(const std::byte* from) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) value |= std::to_integer<std::uint64_t>(from[i]) << (8 * i);
  return static_cast<Integer>(value);
}

inline void put_u16(std::byte* to, std::uint16_t value) noexcept { put_integer(to, value); }
inline void put_u64(std::byte* to, std::uint64_t value) noexcept { put_integer(to, value); }
[[nodiscard]] inline std::uint16_t get_u16(const std::byte* from) noexcept { return get_integer<std::uint16_t>(from); }
[[nodiscard]] inline std::uint64_t get_u64(const std::byte* from) noexcept { return get_integer<std::uint64_t>(from); }

}  // namespace multiprocessing::wire
