// The jobs behind Pool's calls: how items become tasks and results become values.  Layer: pool.
//
//   task    Token of Batch::run | callable | count u32 | count × arguments
//   result  count × (status u8 | value or exception)
//
// An item that throws fails alone; the others of its batch go on.  (A worker that dies fails its whole batch.)
#pragma once

#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "multiprocessing/detail/call_text.hpp"
#include "multiprocessing/detail/callable.hpp"
#include "multiprocessing/detail/pool_core.hpp"
#include "multiprocessing/detail/traced_call.hpp"

namespace multiprocessing::pool {

enum class Status : std::uint8_t { value, exception };

// Batches of calls f(args...), where Items are tuples of arguments.
template <class F, class... Args>
struct Batch {
  using Call = codec::Call<F, Args...>;
  using D = std::decay_t<F>;
  using result = typename Call::result;
  using arguments = typename Call::arguments;
  // What the caller gets for an item; void has no values.
  using value = std::conditional_t<std::is_void_v<result>, std::monostate, result>;

  static void begin(codec::Encoder& out, const D& f, std::size_t count) {
    codec::encode(out, codec::token_of(reinterpret_cast<const void*>(&run)));
    codec::encode_callable(out, f);
    codec::encode(out, static_cast<std::uint32_t>(count));
  }

  template <class... Given>
  static void add(codec::Encoder& out, const Given&... given) {
    add_each(out, std::index_sequence_for<Given...>{}, given...);
  }

  // In the worker.
  static void run(codec::Decoder& in, codec::Encoder& out) {
    D f = codec::decode_callable<D>(in);
    const auto count = codec::decode<std::uint32_t>(in);
    std::uint32_t i = 0;
    bool called = false;  // else it is the arguments that could not be read, nor what is behind them
    std::size_t before = 0;
    const auto run_rest = [&] {
      for (; i < count; ++i) {
        called = false;
        arguments args = read_arguments(in, std::make_index_sequence<std::tuple_size_v<arguments>>{});
        before = out.size();
        called = true;
        codec::encode(out, Status::value);
        if constexpr (std::is_void_v<result>) {
          codec::call(f, args);
        } else {
          encode_value(out, codec::call(f, args));
        }
      }
    };
    while (i < count) {
      try {
        crash::traced(run_rest);
      } catch (abi::__forced_unwind&) {  // pthread_exit(): not an exception, must go on
        throw;
      } catch (...) {
        if (!called) throw;
        out.truncate(before);
        codec::encode(out, Status::exception);
        encode_current_exception(out);
        ++i;
      }
    }
  }

  // In the caller: the next item's verdict.
  template <class Accept>
  static std::exception_ptr take(codec::Decoder& in, Accept accept) {
    if (codec::decode<Status>(in) == Status::exception) return decode_exception(in);
    if constexpr (std::is_void_v<result>) {
      accept(std::monostate{});
    } else {
      accept(codec::decode<result>(in));
    }
    return nullptr;
  }

 private:
  template <class Travelling, class Given>
  static void add_one(codec::Encoder& out, const Given& given) {
    if constexpr (std::is_same_v<Travelling, Given>) {
      codec::encode(out, given);
    } else {
      codec::encode(out, Travelling(given));
    }
  }
  template <std::size_t... I, class... Given>
  static void add_each(codec::Encoder& out, std::index_sequence<I...>, const Given&... given) {
    (add_one<std::tuple_element_t<I, arguments>>(out, given), ...);
  }
  template <std::size_t... I>
  static arguments read_arguments(codec::Decoder& in, std::index_sequence<I...>) {
    return arguments{codec::decode<std::tuple_element_t<I, arguments>>(in)...};
  }
  template <class Given>
  static void encode_value(codec::Encoder& out, const Given& given) {
    if constexpr (std::is_same_v<Given, result>) {
      codec::encode(out, given);
    } else {
      codec::encode(out, result(given));
    }
  }
};

// A job with one final value.
template <class Value>
class ValueJob : public Job {
 public:
  std::optional<Value> value;
  std::exception_ptr error;
};

// apply: one task of one item.
template <class F, class... Args>
class ApplyJob final : public ValueJob<typename Batch<F, Args...>::value> {
  using B = Batch<F, Args...>;

 public:
  template <class G, class... Given>
  explicit ApplyJob(std::in_place_t, G&& f, Given&&... args)
      : f_(std::forward<G>(f)), args_(std::forward<Given>(args)...) {}

  void encode(Calls, codec::Encoder& out) override {
    B::begin(out, f_, 1);
    std::apply([&out](const auto&... args) { B::add(out, args...); }, args_);
  }
  void deliver(Calls, codec::Decoder& in) override {
    this->error = B::take(in, [this](auto&& arrived) { this->value.emplace(std::move(arrived)); });
  }
  void fail(Calls, std::exception_ptr why) noexcept override { this->error = std::move(why); }
  [[nodiscard]] std::string function() const override { return callable_text(f_); }
  [[nodiscard]] std::string describe(Calls) const override {
    return "apply of " + callable_text(f_) +
           std::apply([](const auto&... args) { return arguments_text(args...); }, args_);
  }

 private:
  std::decay_t<F> f_;
  std::tuple<codec::travel_t<Args>...> args_;  // text is kept as std::string: what it pointed to may go
};

// How an item becomes arguments: itself (map), or what its tuple holds (starmap).
struct Single {
  template <class F, class Item>
  using batch = Batch<F, std::decay_t<Item>>;
  template <class B, class Item>
  static void add(codec::Encoder& out, const Item& item) {
    B::add(out, item);
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
  template <class B, class Item>
  static void add(codec::Encoder& out, const Item& item) {
    std::apply([&out](const auto&... args) { B::add(out, args...); }, item);
  }
  template <class Item>
  static std::string text(const Item& item) {
    return std::apply([](const auto&... args) { return arguments_text(args...); }, item);
  }
};

// What a map gives: a vector, or nothing for a void function.
template <class B>
using map_value =
    std::conditional_t<std::is_void_v<typename B::result>, std::monostate, std::vector<typename B::value>>;

// map and starmap: `Items` is random access (operator[]).
template <class How, class F, class Items, class Item>
class MapJob final : public ValueJob<map_value<typename How::template batch<F, Item>>> {
  using B = typename How::template batch<F, Item>;
  using Value = typename B::value;

 public:
  template <class G>
  MapJob(G&& f, Items items, std::size_t count)
      : f_(std::forward<G>(f)), items_(std::move(items)), count_(count), values_(count) {
    if (count == 0) finish();
  }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

  void encode(Calls calls, codec::Encoder& out) override {
    B::begin(out, f_, calls.count);
    for (std::size_t i = calls.first; i < calls.end(); ++i) {
      const Item& item = items_[i];  // a proxy (of std::vector<bool>) becomes its value
      How::template add<B>(out, item);
    }
  }
  void deliver(Calls calls, codec::Decoder& in) override {
    for (std::size_t i = calls.first; i < calls.end(); ++i) {
      note(i, B::take(in, [this, i](Value&& arrived) { values_[i].emplace(std::move(arrived)); }));
    }
    if (this->left == calls.count) finish();
  }
  void fail(Calls calls, std::exception_ptr why) noexcept override {
    note(calls.first, std::move(why));
    if (this->left == calls.count) finish();
  }
  [[nodiscard]] std::string function() const override { return callable_text(f_); }
  [[nodiscard]] std::string describe(Calls calls) const override {
    const std::string of = "map of " + callable_text(f_);
    if (calls.count != 1) {
      return of + ", items " + std::to_string(calls.first) + " to " + std::to_string(calls.end() - 1);
    }
    const Item& item = items_[calls.first];
    return of + How::text(item) + ", item " + std::to_string(calls.first);
  }

 private:
  // The failure of the first item that failed, whichever came first in time.
  void note(std::size_t item, std::exception_ptr why) noexcept {
    if (why == nullptr || item >= first_failed_) return;
    first_failed_ = item;
    this->error = std::move(why);
  }
  void finish() {
    if (this->error != nullptr) return;
    if constexpr (std::is_void_v<typename B::result>) {
      this->value.emplace();
    } else {
      std::vector<Value> values;
      values.reserve(count_);
      for (std::optional<Value>& each : values_) values.push_back(std::move(*each));
      this->value.emplace(std::move(values));
    }
    values_.clear();
  }

  std::decay_t<F> f_;
  Items items_;
  std::size_t count_;
  std::vector<std::optional<Value>> values_;
  std::size_t first_failed_ = static_cast<std::size_t>(-1);
};

// imap: a call of the engine's is a chunk.  They are added while it runs, and each item's outcome is taken by the iterating thread.
template <class How, class F, class Item>
class ImapJob final : public Job {
  using B = typename How::template batch<F, Item>;

 public:
  using Value = typename B::value;
  struct Outcome {
    std::optional<Value> value;
    std::exception_ptr error;
  };
  template <class G>
  explicit ImapJob(G&& f, bool ordered) : f_(std::forward<G>(f)), ordered_(ordered) {}

  // By the iterating thread, under the engine's lock.
  std::size_t add(std::vector<Item> items) {
    chunks_.push_back({std::move(items), {}, false});
    return first_ + chunks_.size() - 1;
  }
  // Undoes the last add(), which could not be submitted.
  void withdraw() noexcept { chunks_.pop_back(); }
  [[nodiscard]] bool has_outcome() const noexcept {
    return ordered_ ? !chunks_.empty() && chunks_.front().done : !ready_.empty();
  }
  std::vector<Outcome> take() {
    if (!ordered_) {
      std::vector<Outcome> outcomes = std::move(ready_.front());
      ready_.pop_front();
      return outcomes;
    }
    std::vector<Outcome> outcomes = std::move(chunks_.front().outcomes);
    chunks_.pop_front();
    ++first_;
    return outcomes;
  }

  void encode(Calls calls, codec::Encoder& out) override {
    const std::vector<Item>& items = chunk(calls.first).items;
    B::begin(out, f_, items.size());
    for (const Item& item : items) How::template add<B>(out, item);
  }
  void deliver(Calls calls, codec::Decoder& in) override {
    Chunk& done = chunk(calls.first);
    std::vector<Outcome> outcomes(done.items.size());
    for (Outcome& outcome : outcomes) {
      outcome.error = B::take(in, [&outcome](Value&& value) { outcome.value.emplace(std::move(value)); });
    }
    settle(done, std::move(outcomes));
  }
  void fail(Calls calls, std::exception_ptr error) noexcept override {
    Chunk& failed = chunk(calls.first);
    std::vector<Outcome> outcomes(failed.items.size());
    for (Outcome& outcome : outcomes) outcome.error = error;
    settle(failed, std::move(outcomes));
  }
  [[nodiscard]] std::string function() const override { return callable_text(f_); }
  [[nodiscard]] std::string describe(Calls calls) const override {
    const std::vector<Item>& items = chunks_[calls.first - first_].items;
    return "imap of " + callable_text(f_) + (items.size() == 1 ? How::text(items[0]) : "") + ", chunk " +
           std::to_string(calls.first);
  }

 private:
  struct Chunk {
    std::vector<Item> items;
    std::vector<Outcome> outcomes;
    bool done;
  };
  Chunk& chunk(std::size_t task) { return chunks_[task - first_]; }
  void settle(Chunk& which, std::vector<Outcome> outcomes) {
    which.items = {};
    which.done = true;
    if (ordered_) {
      which.outcomes = std::move(outcomes);
      return;
    }
    ready_.push_back(std::move(outcomes));
    while (!chunks_.empty() && chunks_.front().done) {  // out of order: only what is behind all done is dropped
      chunks_.pop_front();
      ++first_;
    }
  }

  std::decay_t<F> f_;
  bool ordered_;
  std::deque<Chunk> chunks_;
  std::size_t first_ = 0;  // task number of chunks_.front()
  std::deque<std::vector<Outcome>> ready_;
};

}  // namespace multiprocessing::pool
