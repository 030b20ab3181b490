// The jobs behind Pool's calls: how items become tasks and results become values.  Layer: pool.
//
// By the types of items, arguments and results, not by the callable: see pool_batch.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "multiprocessing/detail/call_text.hpp"
#include "multiprocessing/detail/callable.hpp"
#include "multiprocessing/detail/pool_batch.hpp"
#include "multiprocessing/detail/pool_core.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::pool {

// A job with one final value.
template <class Value>
class ValueJob : public Job {
 public:
  explicit ValueJob(FunctionPtr function) : function_(std::move(function)) {}
  [[nodiscard]] std::string function() const final { return function_->text(); }

  std::optional<Value> value;
  std::exception_ptr error;

 protected:
  const FunctionPtr function_;
};

// apply: one task of one item.
template <class Result, class Arguments, class... Given>
class ApplyJob final : public ValueJob<value_of<Result>> {
 public:
  template <class... G>
  explicit ApplyJob(FunctionPtr function, G&&... args)
      : ValueJob<value_of<Result>>(std::move(function)), args_(std::forward<G>(args)...) {}

  void encode(Calls, codec::Encoder& out) override {
    this->function_->encode(out);
    codec::encode(out, std::uint32_t{1});
    std::apply([&out](const auto&... args) { WriteArguments<Arguments>::to(out, args...); }, args_);
  }
  Failure receive(Calls, codec::Decoder& in) override {
    return {0, take_result<Result>(in, [this](auto&& arrived) { this->value.emplace(std::move(arrived)); })};
  }
  void conclude(Calls, Failure failure) noexcept override { this->error = std::move(failure.error); }
  [[nodiscard]] std::string describe(Calls) const override {
    return "apply of " + this->function() +
           std::apply([](const auto&... args) { return arguments_text(args...); }, args_);
  }

 private:
  std::tuple<Given...> args_;  // text is kept as std::string: what it pointed to may go
};

// How an item becomes arguments: itself (map), or what its tuple holds (starmap).
struct Single {
  template <class F, class Item>
  using batch = Batch<F, std::decay_t<Item>>;
  template <class Arguments, class Item>
  static void write(codec::Encoder& out, const Item& item) {
    WriteArguments<Arguments>::to(out, item);
  }
  template <class Item>
  static std::string text(const Item& item) {
    return arguments_text(item);
  }
};
struct Star {
  template <class F, class Tuple>
  struct Unpack;
  template <class F, class... T>
  struct Unpack<F, std::tuple<T...>> {
    using type = Batch<F, std::decay_t<T>...>;
  };
  template <class F, class A, class B>
  struct Unpack<F, std::pair<A, B>> {
    using type = Batch<F, std::decay_t<A>, std::decay_t<B>>;
  };
  template <class F, class T, std::size_t N>
  struct Unpack<F, std::array<T, N>> {
    template <std::size_t... I>
    static auto same(std::index_sequence<I...>) -> Batch<F, decltype((void)I, std::declval<T>())...>;
    using type = decltype(same(std::make_index_sequence<N>{}));
  };
  template <class F, class Item>
  using batch = typename Unpack<F, std::decay_t<Item>>::type;
  template <class Arguments, class Item>
  static void write(codec::Encoder& out, const Item& item) {
    std::apply([&out](const auto&... args) { WriteArguments<Arguments>::to(out, args...); }, item);
  }
  template <class Item>
  static std::string text(const Item& item) {
    return std::apply([](const auto&... args) { return arguments_text(args...); }, item);
  }
};

// What a map gives: a vector, or nothing for a void function.
template <class Result>
using map_value = std::conditional_t<std::is_void_v<Result>, std::monostate, std::vector<value_of<Result>>>;

// The values of a map while they arrive.  Plain ones are written where the caller gets them; of others there is not one
// before it arrives.  (Elements of std::vector<bool> have no places of their own.)
template <class Value>
inline constexpr bool is_written_in_place =
    std::is_trivially_copyable_v<Value>&& std::is_default_constructible_v<Value>&& std::is_move_assignable_v<Value> &&
    !std::is_same_v<Value, bool>;

template <class Value>
class MapValues {
  static constexpr bool in_place = is_written_in_place<Value>;

 public:
  explicit MapValues(std::size_t count) : slots_(count) {}
  void put(std::size_t i, Value&& value) {
    if constexpr (in_place) {
      slots_[i] = std::move(value);
    } else {
      slots_[i].emplace(std::move(value));
    }
  }
  // All, once they are here.
  std::vector<Value> take() {
    if constexpr (in_place) {
      return std::move(slots_);
    } else {
      std::vector<Value> values;
      values.reserve(slots_.size());
      for (std::optional<Value>& each : slots_) values.push_back(std::move(*each));
      decltype(slots_)().swap(slots_);  // gives the memory back too
      return values;
    }
  }

 private:
  std::vector<std::conditional_t<in_place, Value, std::optional<Value>>> slots_;
};
template <>
class MapValues<void> {
 public:
  explicit MapValues(std::size_t) {}
  void put(std::size_t, std::monostate) {}
  std::monostate take() { return {}; }
};

// map and starmap: `Items` is random access (operator[]).
template <class How, class Result, class Arguments, class Items, class Item>
class MapJob final : public ValueJob<map_value<Result>> {
  using Value = value_of<Result>;

 public:
  MapJob(FunctionPtr function, Items items, std::size_t count)
      : ValueJob<map_value<Result>>(std::move(function)), items_(std::move(items)), count_(count), values_(count) {
    if (count == 0) finish();
  }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

  void encode(Calls calls, codec::Encoder& out) override {
    this->function_->encode(out);
    codec::encode(out, static_cast<std::uint32_t>(calls.count));
    for (std::size_t i = calls.first; i < calls.end(); ++i) {
      const Item& item = items_[i];  // a proxy (of std::vector<bool>) becomes its value
      How::template write<Arguments>(out, item);
    }
  }
  Failure receive(Calls calls, codec::Decoder& in) override {
    Failure first;
    for (std::size_t i = calls.first; i < calls.end(); ++i) {
      std::exception_ptr why =
          take_result<Result>(in, [this, i](Value&& arrived) { values_.put(i, std::move(arrived)); });
      if (why != nullptr && first.error == nullptr) first = {i, std::move(why)};
    }
    return first;
  }
  // The failure of the first item that failed, whichever came first in time.
  void conclude(Calls calls, Failure failure) noexcept override {
    if (failure.error != nullptr && failure.call < first_failed_) {
      first_failed_ = failure.call;
      this->error = std::move(failure.error);
    }
    if (this->left == calls.count) finish();
  }
  [[nodiscard]] std::string describe(Calls calls) const override {
    const std::string of = "map of " + this->function();
    if (calls.count != 1) {
      return of + ", items " + std::to_string(calls.first) + " to " + std::to_string(calls.end() - 1);
    }
    const Item& item = items_[calls.first];
    return of + How::text(item) + ", item " + std::to_string(calls.first);
  }

 private:
  void finish() noexcept {
    if (this->error != nullptr) return;
    try {
      this->value.emplace(values_.take());
    } catch (...) {  // no memory for all of them
      this->error = std::current_exception();
    }
  }

  Items items_;
  std::size_t count_;
  MapValues<Result> values_;
  std::size_t first_failed_ = static_cast<std::size_t>(-1);
};

}  // namespace multiprocessing::pool

#pragma GCC visibility pop
