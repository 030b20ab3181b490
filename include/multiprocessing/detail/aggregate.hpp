// How many members a plain aggregate has, and of which types: found by asking the compiler which initialisers
// it accepts, so that such a type needs no code of its user's to be sent.
//
//   struct Job { int id; std::filesystem::path file; double weights[3]; };
//   field_count<Job>      // 3
//   fields_of<Job>        // Types<int, std::filesystem::path, double[3]>
//
// Not told apart by the language, hence compile errors (from the compiler, at the structured binding):
// anonymous unions and bit-fields.  Such a type needs a serialize member.
#pragma once

#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/aggregate_fields.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::codec {

template <class... T>
struct Types {
  static constexpr std::size_t size = sizeof...(T);
};

// Never called: the compiler is only asked whether it could be.  The functions have bodies all the same,
// since the constexpr constructors of some members (std::optional) count as using them.
namespace probe {

// Stands for an initialiser of any type.  A prvalue suits every object type, also one that cannot be copied
// or moved, since it is constructed in place; it does not bind to `X&`, so an aggregate with such a member
// accepts no number of Values.
template <class Whole>
struct Value {
  template <class Member>
  requires(!std::is_same_v<Member, Whole>)  // T{x} must not be a copy of T
  operator Member() const {                 // NOLINT: implicit is its purpose
    std::terminate();
  }
};

// Suits nothing but a base class.
template <class Whole>
struct Base {
  template <class Member>
  requires(std::is_base_of_v<Member, Whole> && !std::is_same_v<Member, Whole>) operator Member() const {  // NOLINT
    std::terminate();
  }
};

template <class T, std::size_t>
using Any = Value<T>;

template <class T, class Sequence>
inline constexpr bool accepts_sequence = false;
template <class T, std::size_t... I>
inline constexpr bool accepts_sequence<T, std::index_sequence<I...>> = requires {
  T{Any<T, I>{}...};
};

// Can T be initialised by N values?  True from the last member without a default value (kRequired) to the
// number of initialisers it takes (kTotal).  A C array takes one for each of its elements (brace elision); a
// class, std::array included, takes one, since Value converts to it as a whole.
template <class T, std::size_t N>
inline constexpr bool accepts = accepts_sequence<T, std::make_index_sequence<N>>;

// Can T be initialised by `Before` values, then `{}`, then `After` values?
template <class T, class Before, class After>
inline constexpr bool accepts_hole_sequence = false;
template <class T, std::size_t... B, std::size_t... A>
inline constexpr bool accepts_hole_sequence<T, std::index_sequence<B...>, std::index_sequence<A...>> = requires {
  T{Any<T, B>{}..., {}, Any<T, A>{}...};
};
template <class T, std::size_t Before, std::size_t After>
inline constexpr bool accepts_hole =
    accepts_hole_sequence<T, std::make_index_sequence<Before>, std::make_index_sequence<After>>;

inline constexpr std::size_t kUncountable = static_cast<std::size_t>(-1);

// The fewest initialisers that T accepts.
template <class T, std::size_t N = 0>
consteval std::size_t fewest() {
  if constexpr (accepts<T, N>) {
    return N;
  } else if constexpr (N > sizeof(T) || N >= 256) {
    return kUncountable;
  } else {
    return fewest<T, N + 1>();
  }
}

// The most initialisers that T accepts: Low is accepted, High is not.
template <class T, std::size_t Low, std::size_t High>
consteval std::size_t most_between() {
  constexpr std::size_t middle = Low + (High - Low) / 2;
  if constexpr (middle == Low) {
    return Low;
  } else if constexpr (accepts<T, middle>) {
    return most_between<T, middle, High>();
  } else {
    return most_between<T, Low, middle>();
  }
}

template <class T, std::size_t Low, std::size_t Step = 1>
consteval std::size_t most_from() {
  if constexpr (accepts<T, Low + Step>) {
    return most_from<T, Low + Step, Step * 2>();
  } else {
    return most_between<T, Low, Low + Step>();
  }
}

template <class T>
consteval std::size_t count_initializers() {
  constexpr std::size_t required = fewest<T>();
  if constexpr (required == kUncountable) {
    return kUncountable;
  } else {
    return most_from<T, required>();
  }
}

// With `{}` for the member at Index, the most initialisers that the members behind it accept, where Low are
// known to be accepted and High not.
template <class T, std::size_t Index, std::size_t Low, std::size_t High>
consteval std::size_t most_behind() {
  constexpr std::size_t middle = Low + (High - Low) / 2;
  if constexpr (middle == Low) {
    return Low;
  } else if constexpr (accepts_hole<T, Index, middle>) {
    return most_behind<T, Index, middle, High>();
  } else {
    return most_behind<T, Index, Low, middle>();
  }
}

// Some number below High that is accepted behind the hole: by doubling steps where the range is wide, one by
// one where a member without a default value at the end makes it narrow.
template <class T, std::size_t Index, std::size_t High, std::size_t Step, bool Doubling>
consteval std::size_t some_behind() {
  if constexpr (Step > High) {
    if constexpr (Doubling) {
      return some_behind<T, Index, High, 1, false>();
    } else {
      return kUncountable;
    }
  } else if constexpr (accepts_hole<T, Index, High - Step>) {
    return High - Step;
  } else {
    return some_behind < T, Index, High, Doubling ? Step * 2 : Step + 1, Doubling > ();
  }
}

// Initialisers that the member at Index takes of the Total: 1, or the length of a C array.
template <class T, std::size_t Index, std::size_t Total>
consteval std::size_t initializers_of_member() {
  constexpr std::size_t behind = Total - Index - 1;
  if constexpr (behind == 0 || accepts_hole<T, Index, behind>) {
    return 1;
  } else {
    constexpr std::size_t some = some_behind<T, Index, behind, 1, true>();
    if constexpr (some == kUncountable) {
      return 1;  // it has no default value, so `{}` never suits it; then it is no array of values either
    } else {
      return Total - Index - most_behind<T, Index, some, behind>();
    }
  }
}

template <class T, std::size_t Index, std::size_t Total>
consteval std::size_t count_members() {
  if constexpr (Total == kUncountable) {
    return kUncountable;
  } else if constexpr (Index >= Total) {
    return 0;
  } else {
    return 1 + count_members<T, Index + initializers_of_member<T, Index, Total>(), Total>();
  }
}

}  // namespace probe

// An aggregate with base classes: structured bindings cannot name what lies in them.
template <class T>
inline constexpr bool has_base = requires {
  T{probe::Base<T>{}};
};

// probe::kUncountable for an aggregate with a member that no value initialises: a reference, most likely.
template <class T>
inline constexpr std::size_t field_count = probe::count_members<T, 0, probe::count_initializers<T>()>();

namespace probe {

struct CollectTypes {
  template <class... Member>
  Types<Member...> operator()(auto&...) const {
    return {};
  }
};

}  // namespace probe

// The declared types of T's members, in order.  REQUIRES: field_count<T> <= kMaxFields.
template <class T>
using fields_of = decltype(visit_fields<field_count<T>>(std::declval<T&>(), probe::CollectTypes{}));

}  // namespace multiprocessing::codec

#pragma GCC visibility pop
