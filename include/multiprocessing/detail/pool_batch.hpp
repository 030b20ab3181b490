// How calls travel to a worker and what they give travels back.  Layer: pool.
//
//   task    Token of Trampoline::run | callable | count u32 | count × arguments
//   result  count × (status u8 | value or exception)
//
// An item that throws fails alone; the others of its batch go on.  (A worker that dies fails its whole batch.)
//
// Every callable is a type of its own, and a program has many: what depends on it is compiled once for each.  So that is
// only Function (in the host) and Trampoline (in the worker); all else goes by the types of arguments and results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/call_text.hpp"
#include "multiprocessing/detail/callable.hpp"
#include "multiprocessing/detail/pool_core.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::pool {

enum class Status : std::uint8_t { value, exception };

// What the caller gets for an item; void has no values.
template <class Result>
using value_of = std::conditional_t<std::is_void_v<Result>, std::monostate, Result>;

// --- in the worker ----------------------------------------------------------------------------------------------------

// A task while it runs.
struct RunningBatch {
  codec::Decoder& in;
  codec::Encoder& out;
  std::uint32_t count = 0;
  std::uint32_t next = 0;
  bool called = false;     // else it is the arguments that could not be read, nor what is behind them
  std::size_t before = 0;  // bytes of the results before this item's
};

// Runs the items from `next` on: what throws leaves it, and is the result of the item that it came from.
using RunRest = void (*)(RunningBatch& batch);
void run_items(RunningBatch& batch, RunRest run_rest);

template <class Arguments>
struct ReadArguments;
template <class... A>
struct ReadArguments<std::tuple<A...>> {
  static std::tuple<A...> from(codec::Decoder& in) { return std::tuple<A...>{codec::decode<A>(in)...}; }
};

template <class Result, class Given>
void encode_result(codec::Encoder& out, const Given& given) {
  if constexpr (std::is_same_v<Given, Result>) {
    codec::encode(out, given);
  } else {
    codec::encode(out, Result(given));
  }
}

// What a task starts with: runs it.  D: the callable after decay.
template <class D, class Result, class Arguments>
struct Trampoline {
  static void run(codec::Decoder& in, codec::Encoder& out) {
    Running batch{{in, out}, codec::decode_callable<D>(in)};
    batch.count = codec::decode<std::uint32_t>(in);
    run_items(batch, &run_rest);
  }

 private:
  struct Running : RunningBatch {
    D f;
  };
  static void run_rest(RunningBatch& batch) {
    D& f = static_cast<Running&>(batch).f;
    for (; batch.next < batch.count; ++batch.next) {
      batch.called = false;
      Arguments arguments = ReadArguments<Arguments>::from(batch.in);
      batch.before = batch.out.size();
      batch.called = true;
      codec::encode(batch.out, Status::value);
      if constexpr (std::is_void_v<Result>) {
        codec::call(f, arguments);
      } else {
        encode_result<Result>(batch.out, codec::call(f, arguments));
      }
    }
  }
};

// --- in the host ------------------------------------------------------------------------------------------------------

// What a job calls.
class Function {
 public:
  Function() = default;
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;
  virtual ~Function() = default;
  virtual void encode(codec::Encoder& out) const = 0;  // how a task starts
  [[nodiscard]] virtual std::string text() const = 0;  // its name
};
using FunctionPtr = std::unique_ptr<const Function>;

template <class D, class Result, class Arguments>
class FunctionOf final : public Function {
 public:
  template <class F>
  explicit FunctionOf(std::in_place_t, F&& f) : f_(std::forward<F>(f)) {}
  void encode(codec::Encoder& out) const override {
    codec::encode(out, codec::token_of(reinterpret_cast<const void*>(&Trampoline<D, Result, Arguments>::run)));
    codec::encode_callable(out, f_);
  }
  [[nodiscard]] std::string text() const override { return callable_text(f_); }

 private:
  D f_;
};

// The types of calls f(args...).
template <class F, class... Args>
struct Batch {
  using Call = codec::Call<F, Args...>;
  using arguments = typename Call::arguments;
  using result = typename Call::result;

  static FunctionPtr function(F&& f) {
    return FunctionPtr(new FunctionOf<std::decay_t<F>, result, arguments>(std::in_place, std::forward<F>(f)));
  }
};

template <class Travelling, class Given>
void encode_argument(codec::Encoder& out, const Given& given) {
  if constexpr (std::is_same_v<Travelling, Given>) {
    codec::encode(out, given);
  } else {
    codec::encode(out, Travelling(given));
  }
}

// The arguments of one item, as the types that travel.
template <class Arguments>
struct WriteArguments;
template <class... A>
struct WriteArguments<std::tuple<A...>> {
  template <class... Given>
  static void to(codec::Encoder& out, const Given&... given) {
    (encode_argument<A>(out, given), ...);
  }
};

// The next item's verdict: accept(value) is called, or the exception returned.
template <class Result, class Accept>
std::exception_ptr take_result(codec::Decoder& in, const Accept& accept) {
  if (codec::decode<Status>(in) == Status::exception) return decode_exception(in);
  if constexpr (std::is_void_v<Result>) {
    accept(std::monostate{});
  } else {
    accept(codec::decode<Result>(in));
  }
  return nullptr;
}

}  // namespace multiprocessing::pool

#pragma GCC visibility pop
