// Format<T> of the standard library's types that are no containers: pairs, tuples, arrays, times, sums, smart pointers.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>

#include "multiprocessing/detail/archive_containers.hpp"
#include "multiprocessing/detail/archive_writer.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::codec {

template <class T, class D>
inline constexpr bool is_polymorphic_pointer<std::unique_ptr<T, D>> = std::is_polymorphic_v<T>;
template <class T>
inline constexpr bool is_polymorphic_pointer<std::shared_ptr<T>> = std::is_polymorphic_v<T>;
template <class T>
inline constexpr bool is_polymorphic_pointer<std::weak_ptr<T>> = std::is_polymorphic_v<T>;

// ---- Products: the members, nothing else ----

template <class A, class B>
struct Format<std::pair<A, B>> {
  using parts = Types<A, B>;
  static constexpr std::size_t kFixedBytes = sum_of_fixed(parts{});
  static constexpr std::size_t kMinBytes = sum_of_min(parts{});
  static constexpr bool kDense = false;

  template <class Out>
  static void write(Out& out, const std::pair<A, B>& value) {
    codec::write(out, value.first);
    codec::write(out, value.second);
  }
  template <class In>
  static std::pair<A, B> read(In& in) {
    return std::pair<A, B>{codec::read<std::remove_cv_t<A>>(in), codec::read<std::remove_cv_t<B>>(in)};
  }
};

template <class... T>
struct Format<std::tuple<T...>> {
  using parts = Types<T...>;
  static constexpr std::size_t kFixedBytes = sum_of_fixed(parts{});
  static constexpr std::size_t kMinBytes = sum_of_min(parts{});
  static constexpr bool kDense = false;

  template <class Out>
  static void write(Out& out, const std::tuple<T...>& value) {
    std::apply([&out](const auto&... member) { (codec::write(out, member), ...); }, value);
  }
  template <class In>
  static std::tuple<T...> read(In& in) {
    return std::tuple<T...>{codec::read<std::remove_cv_t<T>>(in)...};
  }
};

template <class T, std::size_t N>
struct Format<std::array<T, N>> {
  using parts = Types<T>;
  static constexpr std::size_t kFixedBytes = fixed_bytes<T>() == kVaries ? kVaries : fixed_bytes<T>() * N;
  static constexpr std::size_t kMinBytes = min_bytes<T>() * N;
  static constexpr bool kDense = dense<T>() && sizeof(std::array<T, N>) == N * sizeof(T);

  template <class Out>
  static void write(Out& out, const std::array<T, N>& value) {
    for (const T& element : value) codec::write(out, element);
  }
  template <class In>
  static std::array<T, N> read(In& in) {
    if constexpr (std::is_default_constructible_v<T>) {
      std::array<T, N> value{};
      for (T& element : value) read_into(in, element);
      return value;
    } else {
      return [&in]<std::size_t... I>(std::index_sequence<I...>) {
        return std::array<T, N>{{((void)I, codec::read<T>(in))...}};
      }
      (std::make_index_sequence<N>());
    }
  }
};

template <class T>
struct Format<std::complex<T>> {
  using parts = Types<T>;
  static constexpr std::size_t kFixedBytes = sizeof(std::complex<T>);
  static constexpr std::size_t kMinBytes = kFixedBytes;
  static constexpr bool kDense = true;
  template <class Out>
  static void write(Out& out, const std::complex<T>& value) {
    out.raw(&value, sizeof value);
  }
};

template <class Rep, class Period>
struct Format<std::chrono::duration<Rep, Period>> {
  using Duration = std::chrono::duration<Rep, Period>;
  using parts = Types<Rep>;
  static constexpr std::size_t kFixedBytes = fixed_bytes<Rep>();
  static constexpr std::size_t kMinBytes = min_bytes<Rep>();
  static constexpr bool kDense = dense<Rep>() && sizeof(Duration) == sizeof(Rep);
  template <class Out>
  static void write(Out& out, const Duration& value) {
    codec::write(out, value.count());
  }
  template <class In>
  static Duration read(In& in) {
    return Duration(codec::read<Rep>(in));
  }
};

template <class Clock, class Duration>
struct Format<std::chrono::time_point<Clock, Duration>> {
  using Point = std::chrono::time_point<Clock, Duration>;
  using parts = Types<Duration>;
  static constexpr std::size_t kFixedBytes = fixed_bytes<Duration>();
  static constexpr std::size_t kMinBytes = min_bytes<Duration>();
  static constexpr bool kDense = dense<Duration>() && sizeof(Point) == sizeof(Duration);
  template <class Out>
  static void write(Out& out, const Point& value) {
    codec::write(out, value.time_since_epoch());
  }
  template <class In>
  static Point read(In& in) {
    return Point(codec::read<Duration>(in));
  }
};

// Eight bits to a byte, the lowest first; the bits left over are 0.
template <std::size_t N>
struct Format<std::bitset<N>> {
  using parts = Types<>;
  static constexpr std::size_t kFixedBytes = (N + 7) / 8;
  static constexpr std::size_t kMinBytes = kFixedBytes;
  static constexpr bool kDense = false;

  template <class Out>
  static void write(Out& out, const std::bitset<N>& value) {
    std::array<std::byte, kFixedBytes> bytes{};
    for (std::size_t i = 0; i < N; ++i) {
      if (value[i]) bytes[i / 8] |= std::byte{1} << (i % 8);
    }
    out.raw(bytes.data(), bytes.size());
  }
  template <class In>
  static std::bitset<N> read(In& in) {
    const std::byte* const bytes = in.raw(kFixedBytes);
    std::bitset<N> value;
    for (std::size_t i = 0; i < kFixedBytes * 8; ++i) {
      const bool bit = (bytes[i / 8] >> (i % 8) & std::byte{1}) != std::byte{0};
      if (i < N) {
        value[i] = bit;
      } else if (bit) {
        throw_malformed("a bit beyond the end of a bitset");
      }
    }
    return value;
  }
};

// ---- Sums: which one, then it ----

template <class T>
struct Format<std::optional<T>> : Varying {
  using parts = Types<T>;
  static constexpr std::size_t kMinBytes = 1;

  static void write(Writer& out, const std::optional<T>& value) {
    codec::write(out, value.has_value());
    if (value) codec::write(out, *value);
  }
  static std::optional<T> read(Reader& in) {
    if (!codec::read<bool>(in)) return std::nullopt;
    return std::optional<T>(std::in_place, codec::read<std::remove_cv_t<T>>(in));
  }
};

template <class... T>
struct Format<std::variant<T...>> : Varying {
  using Variant = std::variant<T...>;
  using parts = Types<T...>;
  static constexpr std::size_t kMinBytes = sizeof(std::uint32_t);

  static void write(Writer& out, const Variant& value) {
    if (value.valueless_by_exception()) throw_valueless_variant();
    codec::write(out, static_cast<std::uint32_t>(value.index()));
    std::visit([&out](const auto& alternative) { codec::write(out, alternative); }, value);
  }
  static Variant read(Reader& in) { return read_alternative(in, codec::read<std::uint32_t>(in)); }

 private:
  template <std::size_t I = 0>
  static Variant read_alternative(Reader& in, std::uint32_t index) {
    if constexpr (I == sizeof...(T)) {
      throw_malformed("a variant's index out of range");
    } else {
      using Alternative = std::remove_cv_t<std::variant_alternative_t<I, Variant>>;
      if (index == I) return Variant(std::in_place_index<I>, codec::read<Alternative>(in));
      return read_alternative<I + 1>(in, index);
    }
  }
};

// ---- Smart pointers that own ----
// To classes with virtual functions: cereal's registration (cereal/types/polymorphic.hpp), not these.

template <class T>
requires(!std::is_polymorphic_v<T> && !std::is_array_v<T>) struct Format<std::unique_ptr<T>> : Varying {
  using parts = Types<T>;
  static constexpr std::size_t kMinBytes = 1;

  static void write(Writer& out, const std::unique_ptr<T>& value) {
    codec::write(out, value != nullptr);
    if (value == nullptr) return;
    const Nested nested(out);
    codec::write(out, *value);
  }
  static std::unique_ptr<T> read(Reader& in) {
    if (!codec::read<bool>(in)) return nullptr;
    const Nested nested(in);
    return std::unique_ptr<T>(new T(codec::read<std::remove_cv_t<T>>(in)));
  }
};

// An object that several pointers of a message share is sent once and shared by them again on the other side.
// 0: null; n: the nth object of the message, whose value follows where n is named first.
template <class T>
requires(!std::is_polymorphic_v<T> && !std::is_array_v<T>) struct Format<std::shared_ptr<T>> : Varying {
  using Value = std::remove_cv_t<T>;
  using parts = Types<T>;
  static constexpr std::size_t kMinBytes = sizeof(std::uint32_t);

  static void write(Writer& out, const std::shared_ptr<T>& value) {
    if (value == nullptr) return codec::write(out, std::uint32_t{0});
    const auto [number, is_new] = out.shared().number_of(value, typeid(Value));
    codec::write(out, number);
    if (!is_new) return;
    const Nested nested(out);
    codec::write(out, *value);
  }
  static std::shared_ptr<T> read(Reader& in) {
    const auto number = codec::read<std::uint32_t>(in);
    if (number == 0) return nullptr;
    if (!in.shared().is_new(number)) {
      return std::static_pointer_cast<Value>(in.shared().find(number, typeid(Value)));
    }
    const Nested nested(in);
    if constexpr (std::is_default_constructible_v<Value> && std::is_move_assignable_v<Value>) {
      auto value = std::make_shared<Value>();
      in.shared().add(value, typeid(Value));  // before its members are read: they may point back to it
      read_into(in, *value);
      return value;
    } else {
      const std::size_t place = in.shared().reserve();
      auto value = std::make_shared<Value>(codec::read<Value>(in));
      in.shared().fill(place, value, typeid(Value));
      return value;
    }
  }
};

// As the shared_ptr it locks to: of use inside a message that also holds the owner.
template <class T>
requires(!std::is_polymorphic_v<T> && !std::is_array_v<T>) struct Format<std::weak_ptr<T>> : Varying {
  using parts = Types<T>;
  static constexpr std::size_t kMinBytes = sizeof(std::uint32_t);
  static void write(Writer& out, const std::weak_ptr<T>& value) { codec::write(out, value.lock()); }
  static std::weak_ptr<T> read(Reader& in) { return codec::read<std::shared_ptr<T>>(in); }
};

}  // namespace multiprocessing::codec

#pragma GCC visibility pop
