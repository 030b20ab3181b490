// What can be sent to another process, and what makes your own types so.
//
//   struct Job { int id; std::string file; std::vector<double> weights; };   // plain: no code at all
//   static_assert(mp::sendable<Job>);
//
//   class Account {                                               // anything else: cereal's serialize
//    public:
//     Account() = default;
//    private:
//     friend class cereal::access;
//     template <class Archive>
//     void serialize(Archive& ar) { ar(owner_, balance_); }
//     std::string owner_;
//     long balance_ = 0;
//   };
//
// Sendable are
//   - arithmetic types and enums;
//   - std::string and its relatives, std::filesystem::path, std::chrono durations and time points,
//     std::complex, std::bitset; pair, tuple, array, optional, variant, monostate;
//   - vector, deque, list, the (unordered_)(multi)sets and maps, stack, queue, priority_queue;
//   - unique_ptr, shared_ptr and weak_ptr (what several shared_ptrs of a message share is sent once, and
//     shared again where it arrives; a cycle of them too, where the type can be default-constructed);
//   - aggregates of up to 32 such members, C arrays included, without base classes;
//   - types with cereal's functions (serialize, save and load, save_minimal and load_minimal; member or not,
//     versioned or not), default constructible and movable;
//   - empty classes and captureless lambdas; the handles of this library; mp::copied(f) and mp::bind(f, …).
// For std::forward_list, std::valarray, std::atomic and pointers to classes with virtual functions include
// cereal's header (<cereal/types/valarray.hpp>, <cereal/types/polymorphic.hpp>, …) before using the type.
//
// Not sendable, and a compile error in one line where it is tried: raw pointers, references,
// std::string_view, std::span, unions, std::function, locks, threads, streams.
//
// Not supported, with the compiler's own message: aggregates with bit-fields or anonymous unions (give them a
// serialize member).  An enum without a fixed underlying type must hold one of its values.
//
// Threads: encoding reads the value, as any const use of it does.
// Errors: sending throws what the type's own functions throw, or NotSendable for a value that cannot travel
// although its type can (a valueless variant; pointers and containers nested more than 1,000 deep; more than
// 1,048,576 elements that take no bytes).  Receiving damaged bytes throws Error.
#pragma once

#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/callable.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

template <class T>
concept sendable = codec::why<T>()
== codec::Why::sendable;

// copied(f): a closure with captures, sent as a copy of its bytes.
//
//   int offset = 5;
//   pool.map(mp::copied([offset](int x) { return x + offset; }), numbers);
//
// Right for captures that are plain values.  The compiler checks that f is trivially copyable; it cannot see
// a captured pointer or reference ([&]), and what such a one points to in another process is the risk of the
// caller.
template <class F>
class Copied {
  static_assert(std::is_trivially_copyable_v<F>,
                "mp::copied(f): f captures more than plain values (a string, a vector, ...): pass those as arguments");

 public:
  explicit Copied(F f) noexcept : f_(f) {}

  template <class... Args>
  requires std::is_invocable_v<F&, Args...>
  decltype(auto) operator()(Args&&... args) { return std::invoke(f_, std::forward<Args>(args)...); }
  template <class... Args>
  requires std::is_invocable_v<const F&, Args...>
  decltype(auto) operator()(Args&&... args) const { return std::invoke(f_, std::forward<Args>(args)...); }

 private:
  friend struct codec::Format<Copied<F>>;
  F f_;
};

template <class F>
[[nodiscard]] Copied<F> copied(F f) noexcept {
  return Copied<F>(f);
}

// bind(f, args...): a call without arguments, to be made later and elsewhere.
//
//   mp::Pool pool({.initializer = mp::bind(load_model, path)});
//
// Holds the arguments as f's parameter types (text as std::string); sendable when f could be a task and they
// are. Each call gets copies of its own, so it can be called again; the result is returned by value.
template <class F, class... Args>
class Bound {
 public:
  explicit Bound(F f, Args... args) : f_(std::move(f)), args_(std::move(args)...) {}

  auto operator()() const {
    F f = f_;
    std::tuple<Args...> args = args_;
    return codec::call(f, args);
  }

 private:
  friend struct codec::Format<Bound<F, Args...>>;

  F f_;
  std::tuple<Args...> args_;
};

namespace detail {
template <class F, class Tuple>
struct BoundOf;
template <class F, class... T>
struct BoundOf<F, std::tuple<T...>> {
  using type = Bound<F, T...>;
};
}  // namespace detail

template <class F, class... Args>
[[nodiscard]] auto bind(F&& f, Args&&... args) {
  using Arguments = codec::arguments_t<std::decay_t<F>, Args...>;
  static_assert(std::tuple_size_v<Arguments> == sizeof...(Args),
                "mp::bind: the function takes another number of arguments");
  using Result = typename detail::BoundOf<std::decay_t<F>, Arguments>::type;
  return Result(std::forward<F>(f), std::forward<Args>(args)...);
}

namespace codec {

// The bytes of the closure, as they are.
template <class F>
struct Format<Copied<F>> {
  using parts = Types<>;
  static constexpr std::size_t kFixedBytes = sizeof(F);
  static constexpr std::size_t kMinBytes = sizeof(F);
  static constexpr bool kDense = false;
  template <class Out>
  static void write(Out& out, const Copied<F>& value) {
    out.raw(&value.f_, sizeof(F));
  }
  template <class In>
  static Copied<F> read(In& in) {
    return Copied<F>(from_bytes<F>(in.raw(sizeof(F))));
  }
};
template <class F>
struct Signature<Copied<F>> : Signature<F> {};

// The callable as a task's is sent, then the arguments.
template <class F, class... Args>
struct Format<Bound<F, Args...>> : Varying {
  // A function pointer is sendable here: as a Token.
  using parts = std::conditional_t<function_pointer<F>, Types<Args...>, Types<F, Args...>>;
  static constexpr std::size_t kMinBytes = 0;
  static void write(Writer& out, const Bound<F, Args...>& value) {
    write_callable(out, value.f_);
    codec::write(out, value.args_);
  }
  static Bound<F, Args...> read(Reader& in) {
    F f = read_callable<F>(in);
    return std::apply([&f](auto&&... args) { return Bound<F, Args...>(std::move(f), std::move(args)...); },
                      codec::read<std::tuple<Args...>>(in));
  }
};

}  // namespace codec
}  // namespace multiprocessing

#pragma GCC visibility pop
