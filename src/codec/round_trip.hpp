// For the tests of this layer: a value through bytes and back.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "multiprocessing/serialize.hpp"

namespace multiprocessing::codec {

template <class T>
std::vector<std::byte> encoded(const T& value) {
  Encoder out;
  encode(out, value);
  return {out.bytes().begin(), out.bytes().end()};
}

// Decodes all of `bytes`: anything left over is a failure.
template <class T>
T decoded(std::span<const std::byte> bytes) {
  Decoder in(bytes);
  T value = decode<T>(in);
  EXPECT_EQ(in.remaining(), 0U);
  return value;
}

// From bytes of odd alignment, as they may lie in a message.
template <class T>
T round_trip(const T& value) {
  Encoder out;
  out.write("x", 1);
  encode(out, value);
  return decoded<T>(out.bytes().subspan(1));
}

inline std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

}  // namespace multiprocessing::codec
