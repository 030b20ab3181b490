// How a value becomes bytes: the recursion over its type.
//
// A type is one of
//   scalar      arithmetic or enum: its bytes as in memory
//   standard    Format<T> is specialised (archive_containers.hpp, archive_types.hpp): containers, optional, smart pointers, …
//   own         has cereal's functions (serialize, save/load, …): they are called with our archives
//   empty       an empty class (std::monostate, a captureless lambda): no bytes
//   aggregate   its members, one after another
// or it cannot be sent, and Why says for what reason.  docs/formats/messages.md has the grammar.
//
// Bytes go through a sink: a Writer (grows, counts depth) or, for types that always take the same number of
// bytes, a Packer (a bare pointer into room made at once).  Reading is the mirror image: Reader and Unpacker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/undecoded.hpp"
#include "multiprocessing/detail/aggregate.hpp"
#include "multiprocessing/detail/archive_bytes.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::codec {

class Writer;
class Reader;

// Specialised for the standard types:
//   parts         Types<…>: what must be sendable for it to be
//   kMinBytes     the fewest bytes a value takes
//   kFixedBytes   the bytes every value takes, or kVaries
//   kDense        its memory is its bytes: no padding, and every pattern is a value
//   write(out, value), read(in) -> T
template <class T>
struct Format;

inline constexpr std::size_t kVaries = static_cast<std::size_t>(-1);

namespace probe {
struct Other {};  // a constructor template that takes anything is not meant for Undecoded
}  // namespace probe
template <class T>
inline constexpr bool is_handle = std::is_constructible_v<T, Undecoded> && !std::is_constructible_v<T, probe::Other>;

// Has T cereal's functions for both directions?  Defined in archive.hpp, where the archives are.
template <class T>
struct HasOwnFunctions;

template <class T>
concept scalar = std::is_arithmetic_v<T> || std::is_enum_v<T>;
template <class T>
concept standard = requires {
  typename Format<T>::parts;
};
template <class T>
concept own = std::is_class_v<T> && !standard<T> && HasOwnFunctions<T>::value;
template <class T>
concept stateless = std::is_empty_v<T> && !standard<T> && !own<T> && std::is_default_constructible_v<T> &&
                    std::is_trivially_copyable_v<T>;
template <class T>
concept plain_aggregate = std::is_class_v<T> && std::is_aggregate_v<T> && !standard<T> && !own<T> && !stateless<T>;

// A count that travels must be backed by bytes.  Elements that take none (of a type whose serialize writes
// nothing, or of empty classes) are bounded by this number in one message, so that eight bytes cannot ask for
// 2^64 of them.
inline constexpr std::size_t kMaxWeightless = std::size_t{1} << 20;

// Containers, smart pointers and own types inside one another.  Reading recurses: without a bound a message
// of nested nodes would overflow the stack.  Writing has the same bound, so that what is put can be got.
inline constexpr unsigned kMaxDepth = 1000;

[[noreturn]] void throw_too_deep_to_write();
[[noreturn]] void throw_too_many_weightless();
[[noreturn]] void throw_valueless_variant();

// ---- What is known of a type without a value of it ----

template <class T>
consteval std::size_t fixed_bytes();
template <class T>
consteval std::size_t min_bytes();
template <class T>
consteval bool dense();

// Sum over Types, or kVaries as soon as one varies.
template <class... T>
consteval std::size_t sum_of_fixed(Types<T...>) {
  std::size_t sum = 0;
  bool varies = false;
  ((fixed_bytes<T>() == kVaries ? void(varies = true) : void(sum += fixed_bytes<T>())), ...);
  return varies ? kVaries : sum;
}
template <class... T>
consteval std::size_t sum_of_min(Types<T...>) {
  return (std::size_t{0} + ... + min_bytes<T>());
}
template <class... T>
consteval bool all_dense(Types<T...>) {
  return (dense<T>() && ...);
}

template <class T>
consteval std::size_t fixed_bytes() {
  using U = std::remove_cv_t<T>;
  if constexpr (scalar<U>) {
    return sizeof(U);
  } else if constexpr (std::is_bounded_array_v<U>) {
    constexpr std::size_t each = fixed_bytes<std::remove_extent_t<U>>();
    return each == kVaries ? kVaries : each * std::extent_v<U>;
  } else if constexpr (standard<U>) {
    return Format<U>::kFixedBytes;
  } else if constexpr (stateless<U>) {
    return 0;
  } else if constexpr (plain_aggregate<U>) {
    return sum_of_fixed(fields_of<U>{});
  } else {
    return kVaries;
  }
}

template <class T>
consteval std::size_t min_bytes() {
  using U = std::remove_cv_t<T>;
  if constexpr (fixed_bytes<U>() != kVaries) {
    return fixed_bytes<U>();
  } else if constexpr (std::is_bounded_array_v<U>) {
    return min_bytes<std::remove_extent_t<U>>() * std::extent_v<U>;
  } else if constexpr (standard<U>) {
    return Format<U>::kMinBytes;
  } else if constexpr (plain_aggregate<U>) {
    return sum_of_min(fields_of<U>{});
  } else {
    return 0;
  }
}

template <class T>
consteval bool dense() {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_same_v<U, bool>) {
    return false;  // two of 256 patterns are values
  } else if constexpr (std::is_enum_v<U>) {
    return dense<std::underlying_type_t<U>>();
  } else if constexpr (std::is_arithmetic_v<U>) {
    return true;
  } else if constexpr (std::is_bounded_array_v<U>) {
    return dense<std::remove_extent_t<U>>();
  } else if constexpr (standard<U>) {
    return Format<U>::kDense;
  } else if constexpr (plain_aggregate<U>) {
    return std::is_trivially_copyable_v<U> && fixed_bytes<U>() == sizeof(U) && all_dense(fields_of<U>{});
  } else {
    return false;
  }
}

// ---- Writing ----

// Writes into room that is known to suffice.
class Packer {
 public:
  explicit Packer(std::byte* at) noexcept : at_(at) {}
  void raw(const void* data, std::size_t size) noexcept {
    std::memcpy(at_, data, size);
    at_ += size;
  }

 private:
  std::byte* at_;
};

template <class T>
void write(Packer& out, const T& value);
template <class T>
void write(Writer& out, const T& value);

// The part of writing that Packer and Writer share.
template <class Out, class T>
void write_parts(Out& out, const T& value) {
  if constexpr (scalar<T>) {
    out.raw(&value, sizeof(T));
  } else if constexpr (std::is_array_v<T>) {
    for (const auto& element : value) codec::write(out, element);
  } else if constexpr (standard<T>) {
    Format<T>::write(out, value);
  } else if constexpr (plain_aggregate<T>) {
    visit_fields<field_count<T>>(value,
                                 [&out]<class... M>(const auto&... member) { (codec::write(out, member), ...); });
  } else {
    static_assert(stateless<T>);
  }
}

template <class T>
void write(Packer& out, const T& value) {
  if constexpr (dense<T>()) {
    out.raw(&value, sizeof(T));
  } else {
    write_parts(out, value);
  }
}

// ---- Reading ----

class Unpacker {
 public:
  explicit Unpacker(const std::byte* at) noexcept : at_(at) {}
  const std::byte* raw(std::size_t size) noexcept { return std::exchange(at_, at_ + size); }

 private:
  const std::byte* at_;
};

template <class T>
T read(Unpacker& in);
template <class T>
T read(Reader& in);
template <class In, class T>
void read_into(In& in, T& value);

// An object of a trivially copyable type from its bytes, default constructible or not.  (std::bit_cast would
// say it in one line, but g++ 12 refuses closures.)
template <class T>
T from_bytes(const std::byte* bytes) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  alignas(T) std::byte copy[sizeof(T)];
  std::memcpy(copy, bytes, sizeof(T));  // which makes the object
  return *std::launder(reinterpret_cast<const T*>(copy));
}

inline bool checked_bool(std::byte value) {
  if (value > std::byte{1}) throw_malformed("a bool that is neither 0 nor 1");
  return value == std::byte{1};
}

// An aggregate is made at once from its members, const and not default constructible ones included; C arrays
// cannot be made that way, so with one of those it is made first and filled.
template <class T, class In, class... Member>
T read_aggregate(In& in, Types<Member...>) {
  if constexpr ((std::is_array_v<Member> || ...)) {
    T value{};
    visit_fields<field_count<T>>(value, [&in]<class... M>(auto&... member) { (read_into(in, member), ...); });
    return value;
  } else {
    return T{read<std::remove_cv_t<Member>>(in)...};  // left to right: the order of a braced list
  }
}

template <class T, class In>
T read_parts(In& in) {
  if constexpr (standard<T>) {
    return Format<T>::read(in);
  } else if constexpr (plain_aggregate<T>) {
    return read_aggregate<T>(in, fields_of<T>{});
  } else {
    static_assert(stateless<T>);
    return T{};
  }
}

template <class T>
T read(Unpacker& in) {
  if constexpr (dense<T>()) {
    return from_bytes<T>(in.raw(sizeof(T)));
  } else if constexpr (std::is_same_v<T, bool>) {
    return checked_bool(*in.raw(1));
  } else if constexpr (std::is_enum_v<T>) {
    return static_cast<T>(read<std::underlying_type_t<T>>(in));  // an enum over bool
  } else {
    return read_parts<T>(in);
  }
}

// Into an object that is there already: a member handed to our archive, an array.
template <class In, class T>
void read_into(In& in, T& value) {
  if constexpr (std::is_array_v<T>) {
    for (auto& element : value) read_into(in, element);
  } else if constexpr (own<T> && !std::is_same_v<In, Unpacker>) {
    in.own(value);
  } else {
    value = read<T>(in);
  }
}

// ---- What can be sent, and why not ----

enum class Why {
  sendable,
  pointer,
  view,
  reference,
  base_class,
  too_many_members,
  uncountable_members,
  union_type,
  polymorphic_pointer,
  not_constructible,
  no_functions,
};

template <class T>
inline constexpr bool is_view = false;  // archive_containers.hpp: string_view, span, initializer_list
template <class T>
inline constexpr bool is_polymorphic_pointer = false;  // a smart pointer to a class with virtual functions

template <class T, class... Seen>
consteval Why why();

template <class... Seen, class... Part>
consteval Why first_why(Types<Part...>) {
  Why result = Why::sendable;
  ((result == Why::sendable ? void(result = why<Part, Seen...>()) : void()), ...);
  return result;
}

template <class T, class... Seen>
consteval Why why_aggregate() {
  if constexpr (has_base<T>) {
    return Why::base_class;
  } else if constexpr (field_count<T> == probe::kUncountable) {
    return Why::uncountable_members;
  } else if constexpr (field_count<T> > kMaxFields) {
    return Why::too_many_members;
  } else {
    return first_why<Seen..., T>(fields_of<T>{});
  }
}

// Seen: the aggregates around this one.  A type that contains itself (a node with pointers to nodes) can be
// sent when the rest of it can.
template <class T, class... Seen>
consteval Why why() {
  using U = std::remove_cv_t<T>;
  if constexpr ((std::is_same_v<U, Seen> || ...)) {
    return Why::sendable;
  } else if constexpr (std::is_reference_v<U>) {
    return Why::reference;
  } else if constexpr (std::is_pointer_v<U> || std::is_member_pointer_v<U> || std::is_null_pointer_v<U> ||
                       std::is_function_v<U>) {
    return Why::pointer;
  } else if constexpr (is_view<U>) {
    return Why::view;
  } else if constexpr (scalar<U>) {
    return Why::sendable;
  } else if constexpr (std::is_bounded_array_v<U>) {
    return why<std::remove_extent_t<U>, Seen...>();
  } else if constexpr (standard<U>) {
    return first_why<Seen...>(typename Format<U>::parts{});
  } else if constexpr (own<U>) {
    return (std::is_default_constructible_v<U> || is_handle<U>)&&std::is_move_constructible_v<U>
               ? Why::sendable
               : Why::not_constructible;
  } else if constexpr (is_polymorphic_pointer<U>) {
    return Why::polymorphic_pointer;
  } else if constexpr (std::is_union_v<U>) {
    return Why::union_type;
  } else if constexpr (stateless<U>) {
    return Why::sendable;
  } else if constexpr (plain_aggregate<U>) {
    return why_aggregate<U, Seen...>();
  } else {
    return Why::no_functions;
  }
}

}  // namespace multiprocessing::codec

#pragma GCC visibility pop
