// Value and Array: plain data in the family's shared memory, as Python's multiprocessing.Value and Array.
//
//   mp::Value<int> counter(0);
//   counter.update([](int& n) { n += 1; });          // under the value's lock
//
//   mp::Array<double> grid(1'000'000);               // zeros; costs memory only where it is touched
//   std::span<double> cells = grid.span();           // no copy: the same memory in every process that has the handle
//   { std::scoped_lock hold(grid.lock()); cells[3] += 1; }
//
// T is trivially copyable.  Both are handles: cheap copies of one object, to be given to processes, to tasks of a pool or
// through queues; the memory goes when the last process lets go of it.
//
// When a process dies in update() or set() the value is what it was before: it is written beside the old one and comes
// into force by one store.  What a process writes through span() or [] is in the array at once, whole or not; a dead
// holder of lock() is told by lock().owner_died().
//
// Threads: all calls of Value from any thread, under its lock.  Array's elements are plain memory: use lock(), or parts
// that do not overlap.  Errors: OsError when there is no memory.
//
// Other than in Python every one has a lock of its own (no lock=False, no lock given from outside; Array never takes its
// lock by itself), and [] of an Array does not check the index, as with any array of C++.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <ranges>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "multiprocessing/synchronize.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace synchronize {

template <class T>
concept plain_data = std::is_trivially_copyable_v<T> && std::same_as<T, std::remove_cvref_t<T>> && !std::is_pointer_v<T>;

// The untyped part of a Value.
[[nodiscard]] memory::Ref make_value(const void* initial, std::size_t bytes);
[[nodiscard]] const void* current(const memory::Ref& ref, std::size_t bytes) noexcept;  // with its lock held
void replace(const memory::Ref& ref, const void* with, std::size_t bytes) noexcept;     // with its lock held

// The untyped part of an Array.
[[nodiscard]] memory::Ref make_array(std::size_t count, std::size_t element_bytes);
struct ArrayView {
  void* data;
  std::size_t size;
};
[[nodiscard]] ArrayView view(const memory::Ref& ref, std::size_t element_bytes);

}  // namespace synchronize

template <class T>
class Value : public synchronize::Handle<memory::Kind::value> {
 public:
  static_assert(synchronize::plain_data<T>,
                "mp::Value<T>: T is a trivially copyable type without pointers; send other data through a Queue");
  static_assert(alignof(T) <= 16, "mp::Value<T>: T is aligned to 16 bytes at the most");

  Value() : Value(T{}) {}
  explicit Value(const T& initial) : Handle(synchronize::make_value(&initial, sizeof(T))), lock_(ref_) {}
  explicit Value(codec::Undecoded) noexcept : Handle(memory::Ref()), lock_(ref_) {}

  [[nodiscard]] T get() const {
    const std::scoped_lock hold(lock_);
    return read();
  }
  void set(const T& value) const {
    const std::scoped_lock hold(lock_);
    synchronize::replace(ref_, &value, sizeof(T));
  }
  // f(T&) under the lock; returns what f returns.  When f throws, or the process dies, the value stays as it was.
  template <class F>
  decltype(auto) update(F&& f) const {
    static_assert(std::is_invocable_v<F, T&>, "mp::Value::update(f): f is called with a T&");
    const std::scoped_lock hold(lock_);
    T value = read();
    if constexpr (std::is_void_v<std::invoke_result_t<F, T&>>) {
      std::forward<F>(f)(value);
      synchronize::replace(ref_, &value, sizeof(T));
    } else {
      // By value: a reference to what is only here would dangle.
      std::remove_cvref_t<std::invoke_result_t<F, T&>> result = std::forward<F>(f)(value);
      synchronize::replace(ref_, &value, sizeof(T));
      return result;
    }
  }
  // The lock of get(), set() and update(): hold it over several of them.
  [[nodiscard]] const RLock& lock() const noexcept { return lock_; }

  template <class Archive>
  void load(Archive& archive) {
    Handle::load(archive);
    lock_ = RLock(ref_);
  }

 private:
  [[nodiscard]] T read() const {
    T value;
    std::memcpy(&value, synchronize::current(ref_, sizeof(T)), sizeof(T));
    return value;
  }

  RLock lock_;  // of the same object
};

template <class T>
class Array : public synchronize::Handle<memory::Kind::array> {
 public:
  static_assert(synchronize::plain_data<T>,
                "mp::Array<T>: T is a trivially copyable type without pointers; send other data through a Queue");
  using value_type = T;

  // `size` elements of zero bytes.
  explicit Array(std::integral auto size) : Handle(synchronize::make_array(checked(size), sizeof(T))), lock_(ref_) {
    attach();
  }
  // A copy of these.
  template <std::ranges::sized_range Range>
    requires(std::convertible_to<std::ranges::range_reference_t<Range>, T> &&
             !std::same_as<std::remove_cvref_t<Range>, Array>)  // that is a copy of the handle
  explicit Array(Range&& items) : Array(std::ranges::size(items)) {
    std::ranges::copy(items, span().begin());
  }
  explicit Array(codec::Undecoded) noexcept : Handle(memory::Ref()), lock_(ref_) {}

  [[nodiscard]] std::size_t size() const noexcept { return span_.size(); }
  [[nodiscard]] std::span<T> span() const noexcept { return span_; }
  [[nodiscard]] T& operator[](std::size_t i) const noexcept { return span_[i]; }
  [[nodiscard]] auto begin() const noexcept { return span_.begin(); }
  [[nodiscard]] auto end() const noexcept { return span_.end(); }
  [[nodiscard]] const RLock& lock() const noexcept { return lock_; }

  template <class Archive>
  void load(Archive& archive) {
    Handle::load(archive);
    lock_ = RLock(ref_);
    attach();
  }

 private:
  template <std::integral Size>
  static std::size_t checked(Size size) {
    if (std::cmp_less(size, 0)) throw std::invalid_argument("Array: the size is not negative");
    return static_cast<std::size_t>(size);
  }
  void attach() {
    const synchronize::ArrayView array = synchronize::view(ref_, sizeof(T));
    span_ = {static_cast<T*>(array.data), array.size};
  }

  RLock lock_;  // of the same object
  std::span<T> span_;
};

}  // namespace multiprocessing

#pragma GCC visibility pop
