// Manager: objects that live in a process of their own, for all processes of the program and, where it has an address, for
// programs on other machines.
//
//   mp::Manager manager;                                     // starts the server's process
//   auto jobs = manager.queue<std::string>();                // proxies, with the interface of the real thing (proxies.hpp)
//   auto counts = manager.dict<std::string, int>();
//   counts.set("a", 1);
//   auto counter = manager.create<Counter>(10);              // any class of yours
//   counter.call(&Counter::add, 5);
//
// Over a network:
//
//   mp::Manager manager({.address = "tcp://127.0.0.1:50000", .authkey = key});      // on one side
//   auto jobs = manager.queue<Job>("jobs");                  // makes the object of that name, or finds it
//
//   auto remote = mp::connect_manager("tcp://127.0.0.1:50000", key);                // on the other
//   auto jobs = remote.queue<Job>("jobs");
//
// When to use it: for objects that queue.hpp and synchronize.hpp do not have (dicts, lists, own classes), and for other
// machines.  Queues, locks and values of this program's own processes are some ten times faster without a manager.
//
// Names: an object with a name lives as long as the manager; the same name with another type throws TypeMismatch.
//
// Threads: any thread of any process of the family may use the proxies; the Manager itself belongs to the process that
// made it.  Fork: a child can use what it inherits; the server ends with the process that made it, by whatever means that
// ends, and with shutdown() or the end of the Manager.
// A client that dies releases what it held; a server that dies is ManagerDied for each call on its way and later.
// Errors: OsError, and what Listener says of addresses and keys (listener.hpp); a failing initializer: Error.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "multiprocessing/detail/routine.hpp"
#include "multiprocessing/manager_pool.hpp"
#include "multiprocessing/proxies.hpp"
#include "multiprocessing/start_method.hpp"
#include "multiprocessing/tls_options.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

struct ManagerOptions {
  // Where programs that are not of this family may connect: tcp://HOST:PORT (port 0: any that is free) or unix:///PATH.
  // Empty: nowhere.
  std::string address = {};
  std::string authkey = {};  // what both sides know, 16 bytes or more; needed with an address
  TlsOptions tls = {};       // certificates, if it is to have any (tls_options.hpp)
  std::uint64_t max_message = std::uint64_t{64} << 20;  // the longest that is taken from there
  int max_connections = 4096;                           // from there; further ones wait
  // Runs first in the server's process: mp::bind(f, …), any closure.
  detail::Routine initializer = {};
  std::optional<StartMethod> start_method = {};  // of the server's process.  Empty: get_start_method()
  std::string name = {};                         // of that process; empty: Manager-N
};

namespace managers {

// What Manager and RemoteManager share: making objects, and finding them by name.
class Factory {
 public:
  template <class T>
  [[nodiscard]] QueueProxy<T> queue(std::integral auto maxsize) const {
    return queue<T>(std::string(), maxsize);
  }
  template <class T>
  [[nodiscard]] QueueProxy<T> queue(const std::string& name = {}, std::int64_t maxsize = 0) const {
    return QueueProxy<T>(make(Kind::queue, typeid(T), name, std::int64_t{maxsize}));
  }
  template <class T>
  [[nodiscard]] JoinableQueueProxy<T> joinable_queue(std::integral auto maxsize) const {
    return joinable_queue<T>(std::string(), maxsize);
  }
  template <class T>
  [[nodiscard]] JoinableQueueProxy<T> joinable_queue(const std::string& name = {}, std::int64_t maxsize = 0) const {
    return JoinableQueueProxy<T>(make(Kind::joinable_queue, typeid(T), name, std::int64_t{maxsize}));
  }

  template <class K, class V>
  [[nodiscard]] DictProxy<K, V> dict(const std::string& name = {}) const {
    return DictProxy<K, V>(make(Kind::dict, typeid(std::pair<K, V>), name));
  }
  template <class K, class V>
  [[nodiscard]] DictProxy<K, V> dict(std::initializer_list<std::pair<K, V>> entries) const {
    auto made = dict<K, V>();
    made.update(entries);
    return made;
  }
  template <class T>
  [[nodiscard]] ListProxy<T> list(const std::string& name = {}) const {
    return ListProxy<T>(make(Kind::list, typeid(T), name));
  }
  template <class T>
  [[nodiscard]] ListProxy<T> list(std::initializer_list<T> elements) const {
    return list_of<T>(elements);
  }
  template <class T, std::ranges::input_range Range>
  requires(!std::convertible_to<Range, std::string>) [[nodiscard]] ListProxy<T> list(Range&& elements) const {
    return list_of<T>(elements);
  }
  [[nodiscard]] NamespaceProxy name_space(const std::string& name = {}) const;
  template <class T>
  [[nodiscard]] ValueProxy<T> value(const T& initial = T{}, const std::string& name = {}) const {
    return ValueProxy<T>(make(Kind::value, typeid(T), name, initial));
  }
  // `size` elements T{}, or these.
  template <class T>
  [[nodiscard]] ArrayProxy<T> array(std::integral auto size, const std::string& name = {}) const {
    return array_of<T>(std::vector<T>(static_cast<std::size_t>(size)), name);
  }
  template <class T, std::ranges::input_range Range>
  [[nodiscard]] ArrayProxy<T> array(Range&& elements, const std::string& name = {}) const {
    return array_of<T>(elements, name);
  }
  template <class T>
  [[nodiscard]] ArrayProxy<T> array(std::initializer_list<T> elements, const std::string& name = {}) const {
    return array_of<T>(elements, name);
  }

  [[nodiscard]] LockProxy lock(const std::string& name = {}) const;
  [[nodiscard]] RLockProxy rlock(const std::string& name = {}) const;
  [[nodiscard]] SemaphoreProxy semaphore(int value = 1, const std::string& name = {}) const;
  [[nodiscard]] BoundedSemaphoreProxy bounded_semaphore(int value = 1, const std::string& name = {}) const;
  [[nodiscard]] ConditionProxy condition(const std::string& name = {}) const;  // with an RLock of its own
  [[nodiscard]] ConditionProxy condition(const LockProxy& lock) const;
  [[nodiscard]] ConditionProxy condition(const RLockProxy& lock) const;
  [[nodiscard]] EventProxy event(const std::string& name = {}) const;
  [[nodiscard]] BarrierProxy barrier(int parties, const std::string& name = {}) const;

  // A pool of so many workers, as Pool(n); 0: one per core.
  [[nodiscard]] PoolProxy pool(int processes = 0) const;

  // An object of a class of yours, made in the server's process from these arguments.
  template <class T, class... Args>
  [[nodiscard]] Proxy<T> create(const Args&... args) const {
    return create_named<T>(std::string(), args...);
  }
  // The object of this name: made by create_named(), or served by a ManagerServer.  Throws std::out_of_range when there
  // is none, TypeMismatch when it is of another type.
  template <class T>
  [[nodiscard]] Proxy<T> find(const std::string& name) const {
    Ask asked(manager_, Op::find_named);
    asked.numbers(static_cast<std::int64_t>(Kind::own), static_cast<std::int64_t>(fingerprint(typeid(T))));
    asked.text(name);
    Answer answer = asked.send();
    return Proxy<T>(answer.next_object());
  }
  // The same under a name: one is made if there is none.
  template <class T, class... Args>
  [[nodiscard]] Proxy<T> create_named(const std::string& name, const Args&... args) const {
    using Arguments = std::tuple<codec::travel_t<Args>...>;
    static_assert(std::is_constructible_v<T, codec::travel_t<Args>...>, "create<T>(arguments…): T has no such constructor");
    Ask asked(manager_, Op::make);
    asked.numbers(static_cast<std::int64_t>(Kind::own), static_cast<std::int64_t>(fingerprint(typeid(T))));
    asked.text(name);
    write_code(asked, manager_, reinterpret_cast<const void*>(&make_object<T, Arguments>), nullptr,
               typeid(T(Arguments)), 0);
    write_arguments<Arguments>(asked, args...);
    Answer answer = asked.send();
    return Proxy<T>(answer.next_object());
  }

 protected:
  Factory() noexcept = default;
  explicit Factory(Object manager) noexcept : manager_(std::move(manager)) {}

  template <class... Values>
  [[nodiscard]] Object make(Kind kind, const std::type_info& type, const std::string& name,
                            const Values&... values) const {
    Ask asked(manager_, Op::make);
    asked.numbers(static_cast<std::int64_t>(kind), static_cast<std::int64_t>(fingerprint(type)));
    asked.text(name);
    (asked.value(values), ...);
    Answer answer = asked.send();
    return answer.next_object();
  }

  Object manager_;

 private:
  template <class T, class Range>
  [[nodiscard]] ListProxy<T> list_of(Range&& elements) const {
    auto made = list<T>();
    made.extend(elements);
    return made;
  }
  template <class T, class Range>
  [[nodiscard]] ArrayProxy<T> array_of(Range&& elements, const std::string& name) const {
    Ask asked(manager_, Op::make);
    asked.numbers(static_cast<std::int64_t>(Kind::array), static_cast<std::int64_t>(fingerprint(typeid(T))));
    asked.text(name);
    for (const T& element : elements) asked.value(element);
    Answer answer = asked.send();
    return ArrayProxy<T>(answer.next_object());
  }
};

class ServerProcess;

}  // namespace managers

class Manager : public managers::Factory {
 public:
  // Returns when the server is ready.
  explicit Manager(ManagerOptions options = {});
  Manager(Manager&&) noexcept;
  Manager& operator=(Manager&&) noexcept;
  ~Manager();  // shutdown()

  // Ends the server, and what its objects have started; their destructors run.  A server that does not end within
  // `grace` is killed.  Later calls, and those on their way, get ManagerDied.  Idempotent.
  void shutdown(std::chrono::nanoseconds grace = std::chrono::seconds(5));
  // Where it can be reached, with the port that it got; empty: nowhere.
  [[nodiscard]] const std::string& address() const;
  [[nodiscard]] pid_t pid() const;  // of the server's process

 private:
  std::unique_ptr<managers::ServerProcess> server_;
};

struct ConnectOptions {
  std::uint64_t max_message = std::uint64_t{64} << 20;  // the longest that is taken
  TlsOptions tls{};
};

// A manager of another program, on this machine or another: makes objects there, and finds them by name.  A cheap handle.
//
// Its proxies do what those of a Manager do.  They can be given to processes of this program, who connect by themselves;
// keep yours until they have it.  A network that is cut: calls with a deadline throw ManagerDied within a second after it,
// others go on when it is back within about a minute, and throw ManagerDied after that.  The next call connects anew.  When
// all connections of a process are lost the server takes back what it held: its locks, and objects that nobody else has.
class RemoteManager : public managers::Factory {
 public:
  RemoteManager(const std::string& address, const std::string& authkey, const ConnectOptions& options = {});
  [[nodiscard]] const std::string& address() const noexcept { return address_; }

 private:
  std::string address_;
};

// Throws AuthenticationError, OsError, Error: what listens there is no manager, or of another version.
[[nodiscard]] RemoteManager connect_manager(const std::string& address, const std::string& authkey,
                                            const ConnectOptions& options = {});

// What remote managers are told of the program's own classes: a name for each constructor and each method, the same in
// both programs, registered in main before it is used.
//
//   mp::register_class<Counter, int>("Counter");             // create<Counter>(10), from other machines
//   mp::register_method("Counter.add", &Counter::add);
//
// Proxies of this program's own managers need none of it.  Registering the same twice does nothing; another thing under
// a name that is taken throws std::invalid_argument.
template <class T, class... Args>
void register_class(const std::string& name) {
  using Arguments = std::tuple<codec::travel_t<Args>...>;
  auto entry = std::make_unique<managers::Registered>();
  entry->name = name;
  entry->type = &typeid(T(Arguments));
  entry->maker = &managers::make_object<T, Arguments>;
  managers::add_registered(std::move(entry));
}
template <class Method>
void register_method(const std::string& name, Method method) {
  static_assert(std::is_member_function_pointer_v<Method>, "register_method(name, &Class::method)");
  auto entry = std::make_unique<managers::Registered>();
  entry->name = name;
  entry->type = &typeid(Method);
  entry->method.assign(reinterpret_cast<const char*>(&method), sizeof method);
  using Class = typename managers::MethodTraits<Method>::object;
  entry->caller = &managers::call_method<Class, Method>;
  entry->target = &managers::as_class<Class>;
  managers::add_registered(std::move(entry));
}

}  // namespace multiprocessing

#pragma GCC visibility pop
