// Proxies of a manager's dicts, lists, arrays, values and namespaces.  What holds of every proxy: proxies.hpp.
//
//   mp::DictProxy<std::string, int> counts = manager.dict<std::string, int>();
//   counts.update("a", [](int& n) { ++n; });
//   for (const auto& [key, value] : counts.items()) …
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <map>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/callable.hpp"
#include "multiprocessing/detail/manager_client.hpp"
#include "multiprocessing/errors.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace managers {

// update(): what f returns, by value; f is called with what the entry has now.
template <class V, class F, class Commit, class Cancel>
auto change(Answer&& before, F&& f, const Commit& commit, const Cancel& cancel) {
  static_assert(std::is_invocable_v<F, V&>, "update(…, f): f is called with a reference to the value");
  try {
    V value = before.template next<V>();
    if constexpr (std::is_void_v<std::invoke_result_t<F, V&>>) {
      std::forward<F>(f)(value);
      commit(value);
    } else {
      std::remove_cvref_t<std::invoke_result_t<F, V&>> result = std::forward<F>(f)(value);
      commit(value);
      return result;
    }
  } catch (const ManagerDied&) {
    throw;
  } catch (...) {
    try {
      cancel();
    } catch (const Error&) {  // what came first says more
    }
    throw;
  }
}

}  // namespace managers

// A dict; its entries are in the order of their first insertion.
template <class K, class V>
class DictProxy : public managers::ProxyBase {
  using Op = managers::Op;

 public:
  using key_type = K;
  using mapped_type = V;
  explicit DictProxy(codec::Undecoded) noexcept {}
  explicit DictProxy(managers::Object object) noexcept : ProxyBase(std::move(object)) {}

  [[nodiscard]] V at(const K& key) const { return ask(Op::at).value(key).send().template next<V>(); }
  [[nodiscard]] std::optional<V> get(const K& key) const {
    try {
      return at(key);
    } catch (const std::out_of_range&) {
      return std::nullopt;
    }
  }
  [[nodiscard]] V get(const K& key, const V& otherwise) const {
    auto found = get(key);
    return found ? *std::move(found) : otherwise;
  }
  void set(const K& key, const V& value) const { static_cast<void>(ask(Op::set).value(key).value(value).send()); }
  // The value of the key; `value` becomes that if there was none.
  V setdefault(const K& key, const V& value) const {
    return ask(Op::set_default).value(key).value(value).send().template next<V>();
  }
  [[nodiscard]] bool contains(const K& key) const { return ask(Op::contains).value(key).send().number() != 0; }
  bool erase(const K& key) const { return ask(Op::erase).value(key).send().number() != 0; }  // false: it was not there
  [[nodiscard]] std::optional<V> pop(const K& key) const {
    managers::Answer answer = ask(Op::pop).value(key).send();
    if (answer.left() == 0) return std::nullopt;
    return answer.template next<V>();
  }
  void clear() const { static_cast<void>(ask(Op::clear).send()); }
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(ask(Op::size).send().number()); }
  [[nodiscard]] bool empty() const { return size() == 0; }

  // f(V&) changes the value of the key; returns what f returns.  Throws std::out_of_range when there is none.  When f
  // throws, nothing has changed.  f must not call this dict for the same key.
  template <class F>
  auto update(const K& key, F&& f) const {
    return change(key, ask(Op::begin_update).value(key).send(), std::forward<F>(f));
  }
  // The same; a key that is not there begins with `initial`.
  template <class F>
  auto update(const K& key, F&& f, const V& initial) const {
    return change(key, ask(Op::begin_update).value(key).value(initial).send(), std::forward<F>(f));
  }
  // All of them at once, as Python's dict.update().
  template <std::ranges::input_range Range>
  requires requires(std::ranges::range_reference_t<Range> entry) {
    entry.first;
    entry.second;
  }
  void update(Range&& entries) const {
    managers::Ask call = ask(Op::set_many);
    for (const auto& [key, value] : entries) {
      call.value(static_cast<const K&>(key));
      call.value(static_cast<const V&>(value));
    }
    static_cast<void>(call.send());
  }

  // Copies of what is in it now.
  [[nodiscard]] std::vector<std::pair<K, V>> items() const {
    managers::Answer answer = ask(Op::items).send();
    std::vector<std::pair<K, V>> all;
    while (answer.left() > 0) {
      K key = answer.template next<K>();
      all.emplace_back(std::move(key), answer.template next<V>());
    }
    return all;
  }
  [[nodiscard]] std::map<K, V> copy() const {
    std::map<K, V> all;
    for (auto& [key, value] : items()) all.emplace(std::move(key), std::move(value));
    return all;
  }
  [[nodiscard]] std::vector<K> keys() const {
    managers::Answer answer = ask(Op::keys).send();
    std::vector<K> all;
    while (answer.left() > 0) all.push_back(answer.template next<K>());
    return all;
  }
  [[nodiscard]] std::vector<V> values() const {
    std::vector<V> all;
    for (auto& [key, value] : items()) all.push_back(std::move(value));
    return all;
  }

 private:
  template <class F>
  auto change(const K& key, managers::Answer&& before, F&& f) const {
    return managers::change<V>(
        std::move(before), std::forward<F>(f),
        [&](const V& value) { static_cast<void>(ask(Op::end_update).value(key).value(value).send()); },
        [&] { static_cast<void>(ask(Op::cancel_update).value(key).send()); });
  }
};

// What ListProxy, ArrayProxy and ValueProxy share.
namespace managers {
template <class T>
class Elements : public ProxyBase {
 public:
  using value_type = T;
  // Negative indices count from the end, as in Python.
  [[nodiscard]] T at(std::ptrdiff_t i) const { return ask(Op::at).numbers(i).send().template next<T>(); }
  [[nodiscard]] T operator[](std::ptrdiff_t i) const { return at(i); }
  void set(std::ptrdiff_t i, const T& value) const { static_cast<void>(ask(Op::set).numbers(i).value(value).send()); }
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(ask(Op::size).send().number()); }
  [[nodiscard]] bool empty() const { return size() == 0; }
  // f(T&) changes the element; as DictProxy::update().  Meanwhile nobody else changes the list.
  template <class F>
  auto update(std::ptrdiff_t i, F&& f) const {
    return change<T>(
        ask(Op::begin_update).numbers(i).send(), std::forward<F>(f),
        [&](const T& value) { static_cast<void>(ask(Op::end_update).numbers(i).value(value).send()); },
        [&] { static_cast<void>(ask(Op::cancel_update).numbers(i).send()); });
  }
  // A copy of all elements as they are now; iterating is over such a copy.
  [[nodiscard]] std::vector<T> copy() const {
    Answer answer = ask(Op::items).send();
    std::vector<T> all;
    while (answer.left() > 0) all.push_back(answer.template next<T>());
    return all;
  }
  void reverse() const { static_cast<void>(ask(Op::reverse).send()); }
  [[nodiscard]] bool contains(const T& value) const { return ask(Op::find).value(value).send().number() >= 0; }
  [[nodiscard]] std::size_t count(const T& value) const {
    return static_cast<std::size_t>(ask(Op::count).value(value).send().number());
  }
  // Where the first such element is; empty: nowhere.
  [[nodiscard]] std::optional<std::size_t> index(const T& value) const {
    const std::int64_t found = ask(Op::find).value(value).send().number();
    return found < 0 ? std::nullopt : std::optional(static_cast<std::size_t>(found));
  }

  // Owns the copy that is iterated over, so that `for (T x : list)` is safe whatever others do meanwhile.
  class Iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(std::vector<T> all) : all_(std::make_shared<std::vector<T>>(std::move(all))) {}
    [[nodiscard]] decltype(auto) operator*() const noexcept { return (*all_)[at_]; }
    Iterator& operator++() noexcept {
      ++at_;
      return *this;
    }
    void operator++(int) noexcept { ++at_; }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) noexcept { return it.at_ == it.all_->size(); }

   private:
    std::shared_ptr<std::vector<T>> all_;
    std::size_t at_ = 0;
  };
  [[nodiscard]] Iterator begin() const { return Iterator(copy()); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 protected:
  using ProxyBase::ProxyBase;
};
}  // namespace managers

template <class T>
class ListProxy : public managers::Elements<T> {
  using Op = managers::Op;

 public:
  explicit ListProxy(codec::Undecoded) noexcept {}
  explicit ListProxy(managers::Object object) noexcept : managers::Elements<T>(std::move(object)) {}

  void push_back(const T& value) const { static_cast<void>(this->ask(Op::push_back).value(value).send()); }
  void append(const T& value) const { push_back(value); }
  template <std::ranges::input_range Range>
  void extend(Range&& values) const {
    managers::Ask call = this->ask(Op::extend);
    for (const T& value : values) call.value(value);
    static_cast<void>(call.send());
  }
  void insert(std::ptrdiff_t before, const T& value) const {
    static_cast<void>(this->ask(Op::insert).numbers(before).value(value).send());
  }
  void erase(std::ptrdiff_t i) const { static_cast<void>(this->ask(Op::erase).numbers(i).send()); }
  T pop(std::ptrdiff_t i = -1) const { return this->ask(Op::pop).numbers(i).send().template next<T>(); }
  void clear() const { static_cast<void>(this->ask(Op::clear).send()); }
};

// A list whose length stays.
template <class T>
class ArrayProxy : public managers::Elements<T> {
 public:
  explicit ArrayProxy(codec::Undecoded) noexcept {}
  explicit ArrayProxy(managers::Object object) noexcept : managers::Elements<T>(std::move(object)) {}
};

template <class T>
class ValueProxy : public managers::ProxyBase {
 public:
  using value_type = T;
  explicit ValueProxy(codec::Undecoded) noexcept {}
  explicit ValueProxy(managers::Object object) noexcept : ProxyBase(std::move(object)) {}
  [[nodiscard]] T get() const { return ask(Op::at).send().template next<T>(); }
  void set(const T& value) const { static_cast<void>(ask(Op::set).value(value).send()); }
  template <class F>
  auto update(F&& f) const {  // as DictProxy::update()
    return managers::change<T>(
        ask(Op::begin_update).send(), std::forward<F>(f),
        [&](const T& value) { static_cast<void>(ask(Op::end_update).value(value).send()); },
        [&] { static_cast<void>(ask(Op::cancel_update).send()); });
  }

 private:
  using Op = managers::Op;
};

// Values of any types under names.
class NamespaceProxy : public managers::ProxyBase {
  using Op = managers::Op;

 public:
  explicit NamespaceProxy(codec::Undecoded) noexcept {}
  explicit NamespaceProxy(managers::Object object) noexcept : ProxyBase(std::move(object)) {}
  template <class T>
  void set(const std::string& name, const T& value) const {
    using Sent = codec::travel_t<T>;  // text as std::string
    static_cast<void>(ask(Op::set).numbers(type_of<Sent>()).text(name).value(static_cast<const Sent&>(value)).send());
  }
  // Throws std::out_of_range when nothing has that name, TypeMismatch when it is of another type.
  template <class T>
  [[nodiscard]] T get(const std::string& name) const {
    return ask(Op::at).numbers(type_of<T>()).text(name).send().template next<T>();
  }
  [[nodiscard]] bool contains(const std::string& name) const {
    return ask(Op::contains).text(name).send().number() != 0;
  }
  bool erase(const std::string& name) const { return ask(Op::erase).text(name).send().number() != 0; }
  [[nodiscard]] std::vector<std::string> names() const {
    managers::Answer answer = ask(Op::keys).send();
    std::vector<std::string> all;
    while (answer.left() > 0) all.push_back(answer.next<std::string>());
    return all;
  }

 private:
  template <class T>
  static std::int64_t type_of() noexcept {
    return static_cast<std::int64_t>(managers::fingerprint(typeid(T)));
  }
};

}  // namespace multiprocessing

#pragma GCC visibility pop
