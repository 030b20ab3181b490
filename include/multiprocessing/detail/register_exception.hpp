// What the program's own exception types are to the pool.  Layer: pool.
#pragma once

#include <atomic>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>

#include "multiprocessing/detail/archive.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::pool {

struct ExceptionType {
  const std::type_info& type;
  const std::type_info& (*nested_type)() noexcept;  // what std::throw_with_nested makes of it
  // Writes the value of the exception being handled, which is of this type.
  void (*write)(codec::Encoder& out);
  // Throws the exception with the one being handled nested in it.
  void (*rethrow)(codec::Decoder& value, const std::string& text);
  std::atomic<bool> listed{false};
  const ExceptionType* next = nullptr;
};

void add_exception(ExceptionType& type) noexcept;  // once or several times
[[nodiscard]] const ExceptionType* registered_exception(const std::type_info& type) noexcept;
[[nodiscard]] const ExceptionType* registered_exception(std::string_view name) noexcept;

template <class E>
inline constexpr bool travels_as_value = codec::why<E>() == codec::Why::sendable;
template <class E>
inline constexpr bool travels_as_text =
    std::is_base_of_v<std::exception, E>&& std::is_constructible_v<E, const std::string&>;

template <class E>
const std::type_info& nested_type() noexcept {
  if constexpr (std::is_class_v<E> && !std::is_final_v<E> && !std::is_base_of_v<std::nested_exception, E>) {
    return typeid(std::_Nested_exception<E>);  // libstdc++'s
  } else {
    return typeid(E);
  }
}

template <class E>
void write_exception([[maybe_unused]] codec::Encoder& out) {
  if constexpr (travels_as_value<E>) {
    try {
      throw;
    } catch (const E& e) {
      codec::encode(out, e);
    }
  }
}

template <class E>
void rethrow_exception([[maybe_unused]] codec::Decoder& value, [[maybe_unused]] const std::string& text) {
  if constexpr (travels_as_value<E>) {
    std::throw_with_nested(codec::decode<E>(value));
  } else if constexpr (travels_as_text<E>) {
    std::throw_with_nested(E(text));
  } else {
    std::throw_with_nested(E());
  }
}

}  // namespace multiprocessing::pool

#pragma GCC visibility pop
