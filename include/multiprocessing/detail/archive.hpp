// encode and decode: a value to bytes and back, and the whole-message form of bulk types.
//
//   Encoder out;
//   encode(out, value);                       // appends
//   Decoder in(out.bytes());
//   auto copy = decode<Value>(in);            // in.remaining() == 0: nothing was left over
//
// Errors: a type that cannot be sent does not compile, in one line.  encode throws what the type's own
// serializer throws, or NotSendable (a valueless variant, nesting over 1,000 levels), and then leaves the
// Encoder as it was. decode throws Error on bytes that no encode of T made; it never reads past them, never
// allocates more than they could hold, and never makes a bool, variant or pointer that is not one. The
// format: docs/formats/messages.md.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "multiprocessing/detail/archive_types.hpp"
#include "multiprocessing/detail/archive_writer.hpp"
#include "multiprocessing/errors.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::codec {

[[noreturn]] void rethrow_as_not_sendable(const char* what);

// Appends what `write_all(Writer&)` writes, or nothing when it throws.
template <class WriteAll>
void encode_with(Encoder& out, const WriteAll& write_all) {
  const std::size_t start = out.size();
  try {
    Writer writer(out);
    write_all(writer);
  } catch (const cereal::Exception& exception) {
    out.truncate(start);
    rethrow_as_not_sendable(exception.what());
  } catch (...) {
    out.truncate(start);
    throw;
  }
}

// What `read_all(Reader&)` returns.
template <class ReadAll>
auto decode_with(Decoder& in, const ReadAll& read_all) {
  try {
    Reader reader(in);
    return read_all(reader);
  } catch (const cereal::Exception& exception) {
    throw_malformed(exception.what());
  }
}

template <class T>
void encode(Encoder& out, const T& value) {
  if constexpr (require_sendable<T>()) {
    if constexpr (fixed_bytes<T>() != kVaries) {
      Packer packer(out.extend(fixed_bytes<T>()));
      codec::write(packer, value);
    } else {
      encode_with(out, [&value](Writer& writer) { codec::write(writer, value); });
    }
  }
}

template <class T>
T decode(Decoder& in) {
  static_assert(std::is_same_v<T, std::decay_t<T>>, "decode a value type");
  if constexpr (!require_sendable<T>()) {
    throw_malformed("of a type that cannot be sent");
  } else if constexpr (fixed_bytes<T>() != kVaries) {
    Unpacker unpacker(in.take(fixed_bytes<T>()).data());
    return read<T>(unpacker);
  } else {
    return decode_with(in, [](Reader& reader) { return read<T>(reader); });
  }
}

// ---- Bulk: one contiguous run of plain values; as a whole message it is the elements without a count ----

template <class T>
inline constexpr bool is_bulk = false;
template <class C, class Traits, class A>
inline constexpr bool is_bulk<std::basic_string<C, Traits, A>> = true;
template <class T, class A>
inline constexpr bool is_bulk<std::vector<T, A>> = dense<T>() && why<T>() == Why::sendable;
template <class A>
inline constexpr bool is_bulk<std::vector<bool, A>> = false;

template <class T>
requires is_bulk<T>
[[nodiscard]] std::span<const std::byte> bulk_bytes(const T& value) noexcept {
  return std::as_bytes(std::span(value.data(), value.size()));
}

// Makes room for `bytes` bytes: the only step that allocates.
template <class T>
requires is_bulk<T>
void bulk_reserve(T& value, std::size_t bytes) { value.reserve(bytes / sizeof(typename T::value_type)); }

// Replaces the elements by those in `bytes`: a copy, no allocation, no zero-fill.
//
// REQUIRES: bulk_reserve(value, bytes.size()) before; bytes.size() is a multiple of the element's size.
template <class T>
requires is_bulk<T>
void bulk_assign(T& value, std::span<const std::byte> bytes) noexcept {
  using Element = typename T::value_type;
  if constexpr (requires { typename T::traits_type; } && sizeof(Element) == 1) {
    value.assign(reinterpret_cast<const Element*>(bytes.data()), bytes.size());
  } else if constexpr (requires { typename T::traits_type; }) {
    value.resize(bytes.size() / sizeof(Element));
    if (!bytes.empty()) std::memcpy(value.data(), bytes.data(), bytes.size());
  } else {
    assign_dense(value, bytes);
  }
}

}  // namespace multiprocessing::codec

#pragma GCC visibility pop
