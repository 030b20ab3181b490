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
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/container_proxies.hpp"
#include "multiprocessing/detail/manager_client.hpp"
#include "multiprocessing/detail/manager_own.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/synchronize_proxies.hpp"

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
    constexpr bool fits = codec::are_convertible<typename Traits::arguments, codec::Types<const Args&...>>;
    static_assert(fits, "the arguments given do not fit the parameters of the method");
    if constexpr (fits) {
      managers::Ask asked = ask(managers::Op::call);
      managers::write_code(asked, object_, reinterpret_cast<const void*>(&managers::call_method<T, Method>), &method,
                           typeid(Method), sizeof method);
      managers::write_arguments<typename Traits::arguments>(asked, args...);
      managers::Answer answer = asked.send();
      if constexpr (!std::is_void_v<Result>) return answer.template next<Result>();
    }
  }
};

}  // namespace multiprocessing

#pragma GCC visibility pop
