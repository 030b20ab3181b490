// The work behind parallel.hpp's functions: how items become calls, and results the caller's.  Layer: parallel.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/callable.hpp"
#include "multiprocessing/detail/parallel_core.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::parallel {

// Calls body(items, count), where items[i] is the i-th item: of the range itself where that can be, else of a copy
// (a deque for bool, because std::vector<bool> has none to refer to).  A string literal is its characters.
template <class Range, class Body>
decltype(auto) with_items(Range&& range, Body body) {
  using Plain = std::remove_reference_t<Range>;
  if constexpr (std::is_array_v<Plain> && std::is_same_v<std::remove_cv_t<std::remove_extent_t<Plain>>, char>) {
    const std::string_view text(range);
    return body(text.begin(), text.size());
  } else if constexpr (std::ranges::random_access_range<Plain> && std::ranges::sized_range<Plain>) {
    return body(std::ranges::begin(range), static_cast<std::size_t>(std::ranges::size(range)));
  } else {
    using Value = std::ranges::range_value_t<Plain>;
    std::conditional_t<std::is_same_v<Value, bool>, std::deque<Value>, std::vector<Value>> copy;
    for (auto&& item : range) copy.push_back(std::forward<decltype(item)>(item));
    return body(copy.begin(), copy.size());
  }
}

template <class Iterator>
decltype(auto) item(const Iterator& first, Index i) {
  return first[static_cast<std::iter_difference_t<Iterator>>(i)];
}
template <class Iterator>
using item_t = decltype(item(std::declval<const Iterator&>(), 0));

// What a call gives: by value, text as std::string, nothing for void.
template <class F, class Iterator>
using result_t = codec::travel_t<std::invoke_result_t<F&, item_t<Iterator>>>;

template <class F>
class Named : public Work {
 public:
  explicit Named(const char* call) : call_(call) {}
  [[nodiscard]] std::string describe(Index at, Chunk) const override {
    return items_text(call_, typeid(F).name(), at, at);
  }

 private:
  const char* call_;
};

// f for its effects: those that others can see.
template <class F, class Iterator>
class EachWork final : public Named<F> {
 public:
  EachWork(const char* call, F& f, Iterator items) : Named<F>(call), f_(f), items_(items) { this->writes = false; }
  void run(Chunk chunk, std::atomic<Index>& at, codec::Encoder&) override {
    for (Index i = chunk.first; i < chunk.end; ++i) {
      at.store(i, std::memory_order_relaxed);
      static_cast<void>(std::invoke(f_, item(items_, i)));
    }
  }
  void take(Chunk, codec::Decoder&) override {}

 private:
  F& f_;
  Iterator items_;
};

// Results of plain types: written where the caller reads them.
template <class F, class Iterator, class R>
class PlainMapWork final : public Named<F> {
  static_assert(alignof(R) <= area_alignment, "this type's alignment is larger than a page");

 public:
  PlainMapWork(F& f, Iterator items, std::size_t count)
      : Named<F>("parallel_map"), f_(f), items_(items), count_(count), area_(count * sizeof(R)) {
    this->writes = false;
  }
  void run(Chunk chunk, std::atomic<Index>& at, codec::Encoder&) override {
    R* const results = static_cast<R*>(area_.address());
    for (Index i = chunk.first; i < chunk.end; ++i) {
      at.store(i, std::memory_order_relaxed);
      ::new (static_cast<void*>(results + i)) R(std::invoke(f_, item(items_, i)));
    }
  }
  void take(Chunk, codec::Decoder&) override {}
  std::vector<R> results() {
    R* const first = std::launder(static_cast<R*>(area_.address()));
    return std::vector<R>(std::make_move_iterator(first), std::make_move_iterator(first + count_));
  }

 private:
  F& f_;
  Iterator items_;
  std::size_t count_;
  Area area_;
};

// Any other result: encoded.
template <class F, class Iterator, class R>
class MapWork final : public Named<F> {
 public:
  MapWork(F& f, Iterator items, std::size_t count) : Named<F>("parallel_map"), f_(f), items_(items) {
    results_.reserve(count);
  }
  void run(Chunk chunk, std::atomic<Index>& at, codec::Encoder& out) override {
    for (Index i = chunk.first; i < chunk.end; ++i) {
      at.store(i, std::memory_order_relaxed);
      codec::encode(out, static_cast<const R&>(R(std::invoke(f_, item(items_, i)))));
    }
  }
  void take(Chunk chunk, codec::Decoder& in) override {
    for (Index i = chunk.first; i < chunk.end; ++i) results_.push_back(codec::decode<R>(in));
  }
  std::vector<R> results() { return std::move(results_); }

 private:
  F& f_;
  Iterator items_;
  std::vector<R> results_;
};

// Chunks are folded by the children, and their values, in the order of the items, by the caller.
template <class T, class Op, class Transform, class Iterator>
class ReduceWork final : public Work {
 public:
  ReduceWork(T init, Op& op, Transform& transform, Iterator items)
      : value_(std::move(init)), op_(op), transform_(transform), items_(items) {}
  // The item is not noted: a store for each would cost more than many an `op` does.
  void run(Chunk chunk, std::atomic<Index>& at, codec::Encoder& out) override {
    at.store(chunk.first, std::memory_order_relaxed);
    const Iterator items = items_;
    T value(std::invoke(transform_, item(items, chunk.first)));
    for (Index i = chunk.first + 1; i < chunk.end; ++i) {
      value = std::invoke(op_, std::move(value), std::invoke(transform_, item(items, i)));
    }
    codec::encode(out, static_cast<const T&>(value));
  }
  void take(Chunk, codec::Decoder& in) override { value_ = std::invoke(op_, std::move(value_), codec::decode<T>(in)); }
  [[nodiscard]] std::string describe(Index, Chunk chunk) const override {
    return items_text("parallel_reduce", typeid(Op).name(), chunk.first, chunk.end - 1);
  }
  T value() { return std::move(value_); }

 private:
  T value_;
  Op& op_;
  Transform& transform_;
  Iterator items_;
};

}  // namespace multiprocessing::parallel

#pragma GCC visibility pop
