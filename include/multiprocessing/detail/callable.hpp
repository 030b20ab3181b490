// Callables that travel: what a pool task is made of.
//
// A callable is sent as little as its type allows:
//   function pointer              a Token (callable_token.hpp)
//   captureless lambda, stateless function object     nothing: its type says it all
//   function object that is sendable, copied(f), bind(f, …)     its members
// The type itself is known on the other side from the trampoline, a function instantiated for it, whose token
// goes in front: Call<F, Args...>.
//
//   Encoder out;
//   encode(out, Call<F, Args...>::token());
//   Call<F, Args...>::encode_task(out, f, args...);
//   …
//   auto run = reinterpret_cast<Trampoline>(code_of(decode<Token>(in)));
//   run(in, result);                                        // decodes, calls, encodes the result
//
// Arguments travel as the parameter types of the function; for a callable without one signature (templates,
// overloads), as the types given.  Text travels as std::string, whether declared const char* or
// std::string_view.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/callable_token.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::codec {

// ---- What travels for a parameter, an argument or a result of type T ----

template <class T>
struct TravelOf {
  using type = T;
};
template <class C>
requires(std::is_same_v<C, char> || std::is_same_v<C, const char>) struct TravelOf<C*> {
  using type = std::string;
};
template <class Traits>
struct TravelOf<std::basic_string_view<char, Traits>> {
  using type = std::string;
};
template <class T>
using travel_t = typename TravelOf<std::decay_t<T>>::type;

// ---- The signature of a callable, where it has exactly one ----

template <class F>
struct Signature {  // none: a template, an overload set, not a callable
  static constexpr bool kKnown = false;
};
template <class... P>
struct Parameters {
  static constexpr bool kKnown = true;
  static constexpr std::size_t kCount = sizeof...(P);
  using declared = Types<P...>;
  using travelling = std::tuple<travel_t<P>...>;
};

template <class R, class... P>
struct Signature<R (*)(P...)> : Parameters<P...> {};
template <class R, class... P>
struct Signature<R (*)(P...) noexcept> : Parameters<P...> {};

template <class Member>
struct MemberSignature;
template <class R, class C, class... P>
struct MemberSignature<R (C::*)(P...)> : Parameters<P...> {};
template <class R, class C, class... P>
struct MemberSignature<R (C::*)(P...) const> : Parameters<P...> {};
template <class R, class C, class... P>
struct MemberSignature<R (C::*)(P...) noexcept> : Parameters<P...> {};
template <class R, class C, class... P>
struct MemberSignature<R (C::*)(P...) const noexcept> : Parameters<P...> {};
template <class R, class C, class... P>
struct MemberSignature<R (C::*)(P...)&> : Parameters<P...> {};
template <class R, class C, class... P>
struct MemberSignature<R (C::*)(P...) const&> : Parameters<P...> {};
template <class R, class C, class... P>
struct MemberSignature<R (C::*)(P...)& noexcept> : Parameters<P...> {};
template <class R, class C, class... P>
struct MemberSignature<R (C::*)(P...) const& noexcept> : Parameters<P...> {};

template <class F>
requires std::is_class_v<F> && requires { typename MemberSignature<decltype(&F::operator())>::declared; }
struct Signature<F> : MemberSignature<decltype(&F::operator())> {};

// ---- Which callables travel ----

template <class F>
concept function_pointer = std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>;

// After decay: functions are function pointers.
template <class F>
concept task_callable = function_pointer<std::decay_t<F>> ||
    (std::is_class_v<std::decay_t<F>>&& why<std::decay_t<F>>() == Why::sendable);

// One readable line for a callable that cannot travel; true for one that can.
template <class F>
consteval bool require_task_callable() {
  using D = std::decay_t<F>;
  static_assert(!std::is_member_pointer_v<D>,
                "a member function pointer cannot be sent to a pool worker: pass a lambda, "
                "[](const Type& object) { return object.member(); }");
  static_assert(std::is_member_pointer_v<D> || task_callable<D>,
                "a closure with captures cannot be sent to a pool worker: pass the captures as arguments, or wrap it "
                "in mp::copied(f) if they are plain values, captured by value");
  return task_callable<D>;
}

template <class F>
void write_callable(Writer& out, const F& f) {
  if constexpr (function_pointer<F>) {
    codec::write(out, token_of(reinterpret_cast<const void*>(f)));
  } else {
    codec::write(out, f);
  }
}

template <class F>
F read_callable(Reader& in) {
  if constexpr (function_pointer<F>) {
    return reinterpret_cast<F>(const_cast<void*>(code_of(read<Token>(in))));
  } else {
    return read<F>(in);
  }
}

// A function (by name or pointer) or an object, as encode and decode do with values.
template <class F>
void encode_callable(Encoder& out, const F& f) {
  using D = std::decay_t<F>;
  if constexpr (require_task_callable<D>()) {
    encode_with(out, [&f](Writer& writer) { write_callable<D>(writer, f); });
  }
}
template <class F>
F decode_callable(Decoder& in) {
  static_assert(std::is_same_v<F, std::decay_t<F>>);
  if constexpr (require_task_callable<F>()) {
    return decode_with(in, [](Reader& reader) { return read_callable<F>(reader); });
  } else {
    throw_malformed("a callable that cannot be sent");
  }
}

// ---- Arguments ----

// Arguments of such types are not converted to the parameter before they travel, but when they have arrived (Shared<T>).
template <class T>
inline constexpr bool travels_as_itself = false;

template <bool Known, class F, class... Args>
struct ArgumentsOf {
  using type = std::tuple<travel_t<Args>...>;
};
template <class F, class... Args>
struct ArgumentsOf<true, F, Args...> {
  template <class Travelling, class Given>
  using argument = std::conditional_t<travels_as_itself<Given>, Given, Travelling>;
  template <class... P>
  static auto each(Types<P...>) -> std::type_identity<std::tuple<argument<travel_t<P>, std::decay_t<Args>>...>>;
  static auto all() {
    if constexpr (sizeof...(Args) == Signature<F>::kCount) {
      return decltype(each(typename Signature<F>::declared{})){};
    } else {
      return std::type_identity<typename Signature<F>::travelling>{};  // does not fit, and Call::check() says so
    }
  }
  using type = typename decltype(all())::type;
};

// The tuple that travels when F is called with Args.
template <class F, class... Args>
using arguments_t = typename ArgumentsOf<Signature<std::decay_t<F>>::kKnown, std::decay_t<F>, Args...>::type;

// How the function takes what has arrived in `argument`: by lvalue where it asks for one, else it may have
// it.
template <class Parameter, class Arrived>
decltype(auto) hand_over(Arrived& argument) {
  using Plain = std::decay_t<Parameter>;
  if constexpr (std::is_same_v<Plain, char*> || std::is_same_v<Plain, const char*>) {
    return Plain{argument.data()};
  } else if constexpr (std::is_lvalue_reference_v<Parameter> && std::is_same_v<Plain, Arrived>) {
    return (argument);
  } else {
    return std::move(argument);
  }
}

template <class F, class Arguments, class... P, std::size_t... I>
decltype(auto) call_declared(F& f, Arguments& arguments, Types<P...>, std::index_sequence<I...>) {
  return std::invoke(f, hand_over<P>(std::get<I>(arguments))...);
}

// Calls f with the arguments that have arrived.
template <class F, class... A>
decltype(auto) call(F& f, std::tuple<A...>& arguments) {
  if constexpr (Signature<F>::kKnown) {
    return call_declared(f, arguments, typename Signature<F>::declared{}, std::index_sequence_for<A...>{});
  } else if constexpr (std::is_invocable_v<F&, A&&...>) {
    return std::apply(f, std::move(arguments));
  } else {
    return std::apply(f, arguments);  // [](auto& x) takes no rvalue
  }
}

template <class F, class Arguments>
inline constexpr bool is_callable_with = false;
template <class F, class... A>
inline constexpr bool is_callable_with<F, std::tuple<A...>> =
    Signature<F>::kKnown || std::is_invocable_v<F&, A&&...> || std::is_invocable_v<F&, A&...>;

template <class Arguments, class Given>
inline constexpr bool are_convertible = false;
template <class... A, class... G>
requires(sizeof...(A) == sizeof...(G)) inline constexpr bool are_convertible<std::tuple<A...>, Types<G...>> =
    ((std::is_same_v<A, std::remove_cvref_t<G>> || std::is_constructible_v<A, G>)&&...);  // moves only: as it is

template <class Arguments>
inline constexpr bool are_sendable = false;
template <class... A>
inline constexpr bool are_sendable<std::tuple<A...>> = (require_sendable<A>() && ...);

// What travels for one argument: itself where it has the type already, else converted.
template <class Travelling, class Given>
void write_argument(Writer& out, const Given& given) {
  if constexpr (std::is_same_v<Travelling, std::decay_t<Given>>) {
    codec::write(out, given);
  } else {
    codec::write(out, Travelling(given));
  }
}

template <class F, class Arguments>
struct CallResult {
  using type = void;  // of a call that is not possible: Call::check() says so
};
template <class F, class Arguments>
requires is_callable_with<F, Arguments>
struct CallResult<F, Arguments> {
  using type = travel_t<decltype(codec::call(std::declval<F&>(), std::declval<Arguments&>()))>;
};

using Trampoline = void (*)(Decoder& task, Encoder& result);

// One call of an F with Args, from both sides.
template <class F, class... Args>
class Call {
  using D = std::decay_t<F>;

 public:
  using arguments = arguments_t<D, Args...>;

  // One readable line for what is wrong with the callable, the arguments or the result; true when nothing is.
  static consteval bool check() {
    if constexpr (require_task_callable<D>()) {
      constexpr bool fits = are_convertible<arguments, Types<const std::decay_t<Args>&...>>;
      static_assert(fits, "the arguments given do not fit the parameters of the function");
      if constexpr (fits) {
        constexpr bool callable = is_callable_with<D, arguments>;
        static_assert(callable, "the callable cannot be called with these arguments");
        return callable && are_sendable<arguments>;
      }
    }
    return false;
  }

  // What the caller gets: the result by value, text as std::string; void stays void.
  using result = typename CallResult<D, arguments>::type;

  static Token token() { return token_of(reinterpret_cast<const void*>(&run)); }

  // The callable, then the arguments.  All or nothing, as encode().
  static void encode_task(Encoder& out, const D& f, const std::decay_t<Args>&... args) {
    encode_with(out, [&](Writer& writer) {
      write_callable<D>(writer, f);
      write_arguments(writer, std::make_index_sequence<sizeof...(Args)>{}, args...);
    });
  }

  // The trampoline: decodes what encode_task() wrote, calls, encodes the result (nothing for void).  Lets the
  // callable's exception through; `result` is as it was then.
  static void run(Decoder& task, Encoder& result_out) {
    auto [f, arguments_in] = decode_with(task, [](Reader& reader) {
      return std::pair<D, arguments>{read_callable<D>(reader), read<arguments>(reader)};
    });
    if constexpr (std::is_void_v<result>) {
      codec::call(f, arguments_in);
    } else {
      encode_result(result_out, codec::call(f, arguments_in));
    }
  }

 private:
  template <class Given>
  static void encode_result(Encoder& out, const Given& given) {
    if constexpr (std::is_same_v<Given, result>) {
      codec::encode(out, given);
    } else {
      codec::encode(out, result(given));
    }
  }
  template <std::size_t... I>
  static void write_arguments(Writer& out, std::index_sequence<I...>, const std::decay_t<Args>&... args) {
    (write_argument<std::tuple_element_t<I, arguments>>(out, args), ...);
  }
};

}  // namespace multiprocessing::codec

#pragma GCC visibility pop
