// A call as text, for errors: what was called, and with what.  Layer: pool.
//
//   solve(12, 0.5, "a text that is cut off he…", std::vector<double, std::allocator<double> >)
//
// Numbers, enums and text are printed, of anything else the type: printing runs no code of the user's.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>

#include "multiprocessing/detail/pool_core.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::pool {

[[nodiscard]] std::string number_text(long long number);
[[nodiscard]] std::string number_text(unsigned long long number);
[[nodiscard]] std::string number_text(double number);
[[nodiscard]] std::string quoted_text(std::string_view text);  // cut off, one line
// The name of the function without its parameters, or its type where no symbol tells.
[[nodiscard]] std::string function_text(const void* function, const std::type_info& type);

template <class T>
std::string argument_text(const T& argument) {
  if constexpr (std::is_same_v<T, bool>) {
    return argument ? "true" : "false";
  } else if constexpr (std::is_same_v<T, char>) {
    return quoted_text({&argument, 1});
  } else if constexpr (std::is_floating_point_v<T>) {
    return number_text(static_cast<double>(argument));
  } else if constexpr (std::signed_integral<T>) {
    return number_text(static_cast<long long>(argument));
  } else if constexpr (std::unsigned_integral<T>) {
    return number_text(static_cast<unsigned long long>(argument));
  } else if constexpr (std::is_enum_v<T>) {
    return type_text(typeid(T).name()) + "(" + argument_text(static_cast<std::underlying_type_t<T>>(argument)) + ")";
  } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>) {
    return quoted_text(argument);
  } else {
    return type_text(typeid(T).name());
  }
}

template <class... T>
std::string arguments_text(const T&... arguments) {
  std::string text = "(";
  ((text += (text.size() == 1 ? "" : ", ") + argument_text(arguments)), ...);
  return text + ")";
}

// Of a callable after decay.
template <class F>
std::string callable_text([[maybe_unused]] const F& f) {
  if constexpr (std::is_pointer_v<F>) {
    return function_text(reinterpret_cast<const void*>(f), typeid(F));
  } else {
    return type_text(typeid(F).name());
  }
}

}  // namespace multiprocessing::pool

#pragma GCC visibility pop
