// Proxies: what a manager gives for the objects that it serves (manager.hpp).
//
//   mp::Manager manager;
//   mp::DictProxy<std::string, int> counts = manager.dict<std::string, int>();
//   counts.set("a", 1);
//   counts.update("a", [](int& n) { ++n; });             // read, changed and written as one
//   mp::Process child([](mp::DictProxy<std::string, int> d) { d.set("b", 2); }, counts);
//
// A proxy has the interface of the real thing (queue.hpp, synchronize.hpp); what containers have is listed below.  It is
// a handle: a cheap copy, all operations const, that can be an argument of a process or a pool's task, an item of a queue,
// and a value of another object of the same manager (a list in a dict).  The object lives until nobody has a proxy of it
// and no value names it, or, if it has a name, as long as the manager.  Objects that name each other in a circle stay.
//
// Keys and values are anything that can be sent (serialize.hpp).  Keys are compared by their bytes: sets and maps with
// an order of their own (std::unordered_map) are no good keys.
//
// Each operation is one call of the server, whole or not at all; update() is two, and the function runs here: meanwhile
// others read what was there before, and who wants to change it waits.  If this process dies in it, nothing has changed.
// What a process holds (locks, units of semaphores, items of a JoinableQueue that it has not done) comes back when it
// dies.  An item whose get() had not returned is at the head of its queue again.
//
// Locks belong to the thread that has acquired them, as everywhere in this library.
// Threads: any; each call that is on its way takes a channel or connection of its own.  Fork: proxies go on in the child.
// Errors: as the real thing's; ManagerDied once the server is gone or cannot be reached; std::out_of_range for a key or
// index that is not there; NotSendable for handles of this program in a value for a remote manager.
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

#include "multiprocessing/detail/manager_client.hpp"
#include "multiprocessing/detail/manager_own.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/synchronize.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace managers {

[[noreturn]] void throw_full();
[[noreturn]] void throw_empty();

// What QueueProxy and JoinableQueueProxy share.
template <class T>
class QueueBase : public ProxyBase {
 public:
  using value_type = T;

  void put(const T& item) const { put_until(item, Deadline::never()); }
  template <class Rep, class Period>
  void put(const T& item, std::chrono::duration<Rep, Period> patience) const {
    put_until(item, Deadline::after(patience));
  }
  void put_nowait(const T& item) const { put_until(item, Deadline::passed()); }
  [[nodiscard]] bool try_put(const T& item) const {
    return !ask(Op::put, Deadline::passed()).value(item).send().timed_out();
  }
  template <std::ranges::input_range Range>
  void put_many(Range&& items) const {
    Ask call = ask(Op::put_many);
    for (const T& item : items) call.value(item);
    static_cast<void>(call.send());
  }

  [[nodiscard]] T get() const { return get_until(Deadline::never()); }
  template <class Rep, class Period>
  [[nodiscard]] T get(std::chrono::duration<Rep, Period> patience) const {
    return get_until(Deadline::after(patience));
  }
  [[nodiscard]] T get_nowait() const { return get_until(Deadline::passed()); }
  [[nodiscard]] std::optional<T> try_get() const {
    try {
      Answer answer = ask(Op::get, Deadline::passed()).send();
      if (answer.timed_out()) return std::nullopt;
      return answer.template next<T>();
    } catch (const Closed&) {
      return std::nullopt;
    }
  }
  [[nodiscard]] std::vector<T> get_many(std::size_t most) const {
    Answer answer = ask(Op::get_many).numbers(static_cast<std::int64_t>(most)).send();
    std::vector<T> items;
    while (answer.left() > 0) items.push_back(answer.template next<T>());
    return items;
  }

  // for (T item : queue): get() until Closed.
  class Iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(const QueueBase& queue) : queue_(&queue) { ++*this; }
    T& operator*() const noexcept { return *item_; }
    Iterator& operator++() {
      item_.reset();
      try {
        item_.emplace(queue_->get());
      } catch (const Closed&) {
      }
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) noexcept { return !it.item_; }

   private:
    const QueueBase* queue_;
    mutable std::optional<T> item_;
  };
  [[nodiscard]] Iterator begin() const { return Iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

  void close() const { static_cast<void>(ask(Op::close).send()); }
  [[nodiscard]] bool closed() const { return ask(Op::closed).send().number() != 0; }
  [[nodiscard]] std::size_t qsize() const { return static_cast<std::size_t>(ask(Op::size).send().number()); }
  [[nodiscard]] bool empty() const { return qsize() == 0; }
  [[nodiscard]] bool full() const {
    const std::size_t most = maxsize();
    return most != 0 && qsize() >= most;
  }
  [[nodiscard]] std::size_t maxsize() const { return static_cast<std::size_t>(ask(Op::maxsize).send().number()); }

 protected:
  using ProxyBase::ProxyBase;

 private:
  void put_until(const T& item, Deadline deadline) const {
    if (ask(Op::put, deadline).value(item).send().timed_out()) throw_full();
  }
  T get_until(Deadline deadline) const {
    Answer answer = ask(Op::get, deadline).send();
    if (answer.timed_out()) throw_empty();
    return answer.template next<T>();
  }
};

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

template <class T>
class QueueProxy : public managers::QueueBase<T> {
 public:
  explicit QueueProxy(codec::Undecoded) noexcept {}
  explicit QueueProxy(managers::Object object) noexcept : managers::QueueBase<T>(std::move(object)) {}
};

// An item taken by a process that dies before its task_done() is handed out once more; when that one dies with it, too,
// join() throws Error, once.
template <class T>
class JoinableQueueProxy : public managers::QueueBase<T> {
 public:
  explicit JoinableQueueProxy(codec::Undecoded) noexcept {}
  explicit JoinableQueueProxy(managers::Object object) noexcept : managers::QueueBase<T>(std::move(object)) {}
  void task_done() const { static_cast<void>(this->ask(managers::Op::task_done).send()); }
  void join() const { static_cast<void>(this->ask(managers::Op::join).send()); }
  template <class Rep, class Period>
  [[nodiscard]] bool join(std::chrono::duration<Rep, Period> patience) const {  // false: not within `patience`
    return !this->ask(managers::Op::join, managers::Deadline::after(patience)).send().timed_out();
  }
};

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
  requires requires(std::ranges::range_reference_t<Range> entry) { entry.first; entry.second; }
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
  void set(std::ptrdiff_t i, const T& value) const {
    static_cast<void>(ask(Op::set).numbers(i).value(value).send());
  }
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
    all.reserve(answer.left());
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
    static_cast<void>(
        ask(Op::set).numbers(type_of<Sent>()).text(name).value(static_cast<const Sent&>(value)).send());
  }
  // Throws std::out_of_range when nothing has that name, TypeMismatch when it is of another type.
  template <class T>
  [[nodiscard]] T get(const std::string& name) const {
    return ask(Op::at).numbers(type_of<T>()).text(name).send().template next<T>();
  }
  [[nodiscard]] bool contains(const std::string& name) const { return ask(Op::contains).text(name).send().number() != 0; }
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

namespace managers {
// acquire, release and the standard's names for them.
template <class Self>
class LockBase : public ProxyBase, public synchronize::Lockable<Self> {
 public:
  void release() const { static_cast<void>(ask(Op::release_lock).send()); }

 protected:
  using ProxyBase::ProxyBase;

 private:
  friend synchronize::Lockable<Self>;
  bool acquire_until(Deadline deadline) const { return !ask(Op::acquire, deadline).send().timed_out(); }
};
}  // namespace managers

class LockProxy : public managers::LockBase<LockProxy> {
 public:
  explicit LockProxy(codec::Undecoded) noexcept {}
  explicit LockProxy(managers::Object object) noexcept : LockBase(std::move(object)) {}
  [[nodiscard]] bool owner_died() const { return ask(managers::Op::owner_died).send().number() != 0; }
};

class RLockProxy : public managers::LockBase<RLockProxy> {
 public:
  explicit RLockProxy(codec::Undecoded) noexcept {}
  explicit RLockProxy(managers::Object object) noexcept : LockBase(std::move(object)) {}
  [[nodiscard]] bool owner_died() const { return ask(managers::Op::owner_died).send().number() != 0; }
};

// Of a SemaphoreProxy and a BoundedSemaphoreProxy a dead process's units, acquired less released by it, come back.
class SemaphoreProxy : public managers::LockBase<SemaphoreProxy> {
 public:
  explicit SemaphoreProxy(codec::Undecoded) noexcept {}
  explicit SemaphoreProxy(managers::Object object) noexcept : LockBase(std::move(object)) {}
  [[nodiscard]] int get_value() const { return static_cast<int>(ask(managers::Op::get_value).send().number()); }
};

class BoundedSemaphoreProxy : public managers::LockBase<BoundedSemaphoreProxy> {
 public:
  explicit BoundedSemaphoreProxy(codec::Undecoded) noexcept {}
  explicit BoundedSemaphoreProxy(managers::Object object) noexcept : LockBase(std::move(object)) {}
  [[nodiscard]] int get_value() const { return static_cast<int>(ask(managers::Op::get_value).send().number()); }
};

class ConditionProxy : public managers::LockBase<ConditionProxy> {
  using Deadline = managers::Deadline;

 public:
  explicit ConditionProxy(codec::Undecoded) noexcept {}
  explicit ConditionProxy(managers::Object object) noexcept : LockBase(std::move(object)) {}
  bool wait() const { return wait_until(Deadline::never()); }
  template <class Rep, class Period>
  bool wait(std::chrono::duration<Rep, Period> patience) const {  // false: not notified within `patience`
    return wait_until(Deadline::after(patience));
  }
  template <class Predicate>
  bool wait_for(Predicate predicate) const {
    return wait_for_until(predicate, Deadline::never());
  }
  template <class Predicate, class Rep, class Period>
  bool wait_for(Predicate predicate, std::chrono::duration<Rep, Period> patience) const {
    return wait_for_until(predicate, Deadline::after(patience));
  }
  void notify(int waiters = 1) const { static_cast<void>(ask(managers::Op::notify).numbers(waiters).send()); }
  void notify_all() const { notify(-1); }

 private:
  bool wait_until(Deadline deadline) const {
    // It returns with the lock, for which it waits as long as somebody else has it.
    const managers::Answer answer = ask(managers::Op::wait, deadline).however_long().send();
    return !answer.timed_out() && answer.number() != 0;
  }
  template <class Predicate>
  bool wait_for_until(Predicate& predicate, Deadline deadline) const {
    while (!predicate()) {
      if (!wait_until(deadline)) return static_cast<bool>(predicate());
    }
    return true;
  }
};

class EventProxy : public managers::ProxyBase {
 public:
  explicit EventProxy(codec::Undecoded) noexcept {}
  explicit EventProxy(managers::Object object) noexcept : ProxyBase(std::move(object)) {}
  void set() const { static_cast<void>(ask(managers::Op::event_set).send()); }
  void clear() const { static_cast<void>(ask(managers::Op::event_clear).send()); }
  [[nodiscard]] bool is_set() const { return ask(managers::Op::is_set).send().number() != 0; }
  bool wait() const { return !ask(managers::Op::wait).send().timed_out(); }
  template <class Rep, class Period>
  bool wait(std::chrono::duration<Rep, Period> patience) const {  // false: not within `patience`
    return !ask(managers::Op::wait, managers::Deadline::after(patience)).send().timed_out();
  }
};

class BarrierProxy : public managers::ProxyBase {
  using Op = managers::Op;

 public:
  explicit BarrierProxy(codec::Undecoded) noexcept {}
  explicit BarrierProxy(managers::Object object) noexcept : ProxyBase(std::move(object)) {}
  int wait() const { return static_cast<int>(ask(Op::wait).send().number()); }
  template <class Rep, class Period>
  int wait(std::chrono::duration<Rep, Period> patience) const {
    return static_cast<int>(ask(Op::wait, managers::Deadline::after(patience)).send().number());
  }
  void reset() const { static_cast<void>(ask(Op::barrier_reset).send()); }
  void abort() const { static_cast<void>(ask(Op::barrier_abort).send()); }
  [[nodiscard]] int parties() const { return static_cast<int>(ask(Op::parties).send().number()); }
  [[nodiscard]] int n_waiting() const { return static_cast<int>(ask(Op::n_waiting).send().number()); }
  [[nodiscard]] bool broken() const { return ask(Op::broken).send().number() != 0; }
};

// An object of a class of the program's, made by Manager::create().
//
//   auto counter = manager.create<Counter>(10);
//   counter.call(&Counter::add, 5);
//
// Calls of one object run one after another, in threads of the server's process; what they throw is thrown here, as by a
// pool (pool.hpp).  A method that crashes takes the manager with it.
template <class T>
class Proxy : public managers::ProxyBase {
 public:
  explicit Proxy(codec::Undecoded) noexcept {}
  explicit Proxy(managers::Object object) noexcept : ProxyBase(std::move(object)) {}

  template <class Method, class... Args>
  auto call(Method method, const Args&... args) const {
    static_assert(std::is_member_function_pointer_v<Method>, "call(&Class::method, arguments…)");
    using Traits = managers::MethodTraits<Method>;
    using Result = typename Traits::result;
    static_assert(std::is_base_of_v<typename Traits::object, T>, "call: the method is of another class");
    static_assert(codec::are_convertible<typename Traits::arguments, codec::Types<const Args&...>>,
                  "the arguments given do not fit the parameters of the method");
    managers::Ask asked = ask(managers::Op::call);
    managers::write_code(asked, object_, reinterpret_cast<const void*>(&managers::call_method<T, Method>), &method,
                         typeid(Method), sizeof method);
    managers::write_arguments<typename Traits::arguments>(asked, args...);
    managers::Answer answer = asked.send();
    if constexpr (!std::is_void_v<Result>) return answer.template next<Result>();
  }
};

}  // namespace multiprocessing

#pragma GCC visibility pop
