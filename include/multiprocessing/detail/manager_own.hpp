// How a manager's server makes objects of the program's own classes and calls them.  Layer: manager.
//
// Within a family code is named by its token (callable_token.hpp); from elsewhere by a name under which both sides have
// registered it, with a fingerprint of its signature: bytes from a network never choose an address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/callable.hpp"
#include "multiprocessing/detail/manager_client.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::managers {

// An object of some class, that knows which.
struct Made {
  std::shared_ptr<void> object;
  const std::type_info* type = nullptr;
  void (*throw_pointer)(void* object) = nullptr;  // as what it is
};
template <class T>
[[nodiscard]] Made made(std::shared_ptr<T> object) {
  return {std::move(object), &typeid(T), [](void* one) { throw static_cast<T*>(one); }};
}
// The C that it is, or has as a base: whether it has one only a handler of exceptions knows.  Null: it is none.
template <class C>
[[nodiscard]] void* as_class(const Made& from) {
  if (*from.type == typeid(C)) return from.object.get();
  try {
    from.throw_pointer(from.object.get());
  } catch (C* const base) {
    return base;
  } catch (...) {
  }
  return nullptr;
}

// Reads its arguments, makes the object.
using Maker = Made (*)(codec::Decoder& in);
// Calls a method of the object: `method` points to a pointer to member, the rest is read and written.
using Caller = void (*)(void* object, const void* method, codec::Decoder& in, codec::Encoder& out);

// A pointer to a member function as it travels within the family.
struct MethodName {
  codec::Token code{};        // of a function …
  std::uint64_t vtable = 0;   // … or, not 0, its place among the virtual ones
  std::int64_t adjustment = 0;
};
[[nodiscard]] MethodName name_method(const void* method);
void find_method(const MethodName& name, void* method);  // the pointer to member.  Throws NotSendable

// What was registered.  Entries are never removed.
struct Registered {
  std::string name;
  const std::type_info* type = nullptr;  // of the pointer to member, or of the maker
  std::string method;                    // the bytes of the pointer to member; empty: a maker
  Maker maker = nullptr;
  Caller caller = nullptr;
  void* (*target)(const Made& object) = nullptr;  // of a method: what the caller calls it for
  const Registered* next = nullptr;
};
void add_registered(std::unique_ptr<Registered> entry);  // throws std::invalid_argument: the name is taken
[[nodiscard]] const Registered* find_registered(std::string_view name) noexcept;
[[nodiscard]] const Registered* find_registered(const std::type_info& type, std::string_view method) noexcept;

// For a call that goes to `object`: writes how the code is to be found there, as the first value.  Throws NotSendable
// where the manager is remote and the code is not registered.
void write_code(Ask& ask, const Object& object, const void* trampoline, const void* method,
                const std::type_info& type, std::size_t method_bytes);

template <class Method>
struct MethodTraits;
template <class R, class C, class... P>
struct MethodParts {
  using object = C;
  using result = codec::travel_t<R>;
  using declared = codec::Types<P...>;
  using arguments = std::tuple<codec::travel_t<P>...>;
};
template <class R, class C, class... P>
struct MethodTraits<R (C::*)(P...)> : MethodParts<R, C, P...> {};
template <class R, class C, class... P>
struct MethodTraits<R (C::*)(P...) const> : MethodParts<R, C, P...> {};
template <class R, class C, class... P>
struct MethodTraits<R (C::*)(P...) noexcept> : MethodParts<R, C, P...> {};
template <class R, class C, class... P>
struct MethodTraits<R (C::*)(P...) const noexcept> : MethodParts<R, C, P...> {};

template <class T, class Arguments>
Made make_object(codec::Decoder& in) {
  auto arguments = codec::decode<Arguments>(in);
  return made(std::apply([](auto&... each) { return std::make_shared<T>(std::move(each)...); }, arguments));
}

template <class T, class Method>
void call_method(void* object, const void* method, codec::Decoder& in, codec::Encoder& out) {
  using Traits = MethodTraits<Method>;
  Method pointer{};
  std::memcpy(&pointer, method, sizeof pointer);
  auto arguments = codec::decode<typename Traits::arguments>(in);
  typename Traits::object& target = *static_cast<T*>(object);
  const auto call = [&]<class... P, std::size_t... I>(codec::Types<P...>, std::index_sequence<I...>)->decltype(auto) {
    return (target.*pointer)(codec::hand_over<P>(std::get<I>(arguments))...);
  };
  constexpr auto places = std::make_index_sequence<std::tuple_size_v<typename Traits::arguments>>{};
  if constexpr (std::is_void_v<typename Traits::result>) {
    call(typename Traits::declared{}, places);
  } else {
    codec::encode(out, typename Traits::result(call(typename Traits::declared{}, places)));
  }
}

template <class Arguments, class... Given>
void write_arguments(Ask& ask, const Given&... given) {
  ask.value_by([&](codec::Encoder& out) { codec::encode(out, Arguments(given...)); });
}

}  // namespace multiprocessing::managers

#pragma GCC visibility pop
