// register_exception: exceptions of the program's own types come out of a pool as themselves.
//
//   struct ParseError : std::runtime_error {
//     using std::runtime_error::runtime_error;
//   };
//   int main() {
//     mp::register_exception<ParseError>();      // before the pool is made
//     mp::Pool pool;
//     try { pool.apply(parse, file); } catch (const ParseError& e) { … }
//   }
//
// As with standard exceptions, a RemoteError (type, text, traceback) is nested in it.  Without being registered such a
// type arrives as that RemoteError alone.  Exactly E is meant, not what derives from it.
//
// What of it arrives, in this order:
//   - a type that can be sent (serialize.hpp: a serialize function, a plain aggregate) arrives by its value;
//   - a std::exception that can be made from a std::string, made from its what();
//   - a std::exception that can be made from nothing, made so.
// Anything else does not compile.  Handles (queues, locks …) do not travel in exceptions: such a value arrives as
// RemoteError, and so does one whose serializer throws.
//
// Threads: any.  Fork: workers know what was registered when their pool was made.  Registering twice does nothing.
#pragma once

#include <type_traits>

#include "multiprocessing/detail/register_exception.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

template <class E>
void register_exception() noexcept {
  static_assert(std::is_same_v<E, std::decay_t<E>>, "register_exception<E>: E is a type without reference or const");
  constexpr bool can_travel = pool::travels_as_value<E> || pool::travels_as_text<E> ||
                              (std::is_base_of_v<std::exception, E> && std::is_default_constructible_v<E>);
  static_assert(can_travel,
                "register_exception<E>: give E a serialize function (and a default constructor), or derive it from "
                "std::exception with a constructor that takes what() as a std::string");
  if constexpr (can_travel) {
    static constinit pool::ExceptionType type{typeid(E), pool::nested_type<E>, &pool::write_exception<E>,
                                              &pool::rethrow_exception<E>};
    pool::add_exception(type);
  }
}

}  // namespace multiprocessing

#pragma GCC visibility pop
