// What the proxies need of a manager: references to the objects it serves, and calls of them.  Layer: manager.
//
//   Ask ask(object, Op::dict_at);              // a call being written
//   ask.value(key);
//   const Answer answer = ask.send();          // throws what the call ended with
//   return answer.next<V>();
//
// How calls travel is in src/manager/: through the family's memory (channel.hpp) or a socket (docs/formats/manager.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/detail/message_buffer.hpp"
#include "multiprocessing/detail/ref.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::managers {

using detail::Deadline;

// What is served.  The numbers are those of the protocol: they stay.
enum class Kind : std::uint32_t {
  manager = 0,
  queue = 1,
  joinable_queue = 2,
  dict = 3,
  list = 4,
  name_space = 5,
  value = 6,
  array = 7,
  lock = 8,
  rlock = 9,
  semaphore = 10,
  bounded_semaphore = 11,
  condition = 12,
  event = 13,
  barrier = 14,
  own = 15,
  pool = 16,
  result = 17,
};

enum class Op : std::uint32_t {
  // of the manager
  make = 1,
  release = 2,  // has no answer
  find_named = 3,
  // of containers
  size = 10,
  clear = 11,
  items = 12,
  // of queues
  put = 20,
  get = 21,
  get_many = 22,
  close = 23,
  closed = 24,
  maxsize = 25,
  task_done = 26,
  join = 27,
  put_many = 28,
  // of dicts and namespaces
  at = 30,
  set = 31,
  contains = 32,
  erase = 33,
  pop = 34,
  set_default = 35,
  set_many = 36,
  keys = 37,
  // of dicts, lists and values: to change in place
  begin_update = 40,
  end_update = 41,
  cancel_update = 42,
  // of lists and arrays
  push_back = 50,
  insert = 51,
  extend = 52,
  find = 53,
  count = 54,
  reverse = 55,
  // of locks, conditions, semaphores, events, barriers
  acquire = 60,
  release_lock = 61,
  owner_died = 62,
  get_value = 63,
  wait = 64,
  notify = 65,
  event_set = 66,
  event_clear = 67,
  is_set = 68,
  barrier_reset = 70,
  barrier_abort = 71,
  parties = 72,
  n_waiting = 73,
  broken = 74,
  // of own objects and pools: by token, or by registered name
  call = 80,
  call_named = 81,
  // of pools
  pool_close = 90,
  pool_terminate = 91,
  pool_join = 92,
  // of results
  ready = 95,
  successful = 96,
};

class Client;  // a manager as this process sees it
struct Held;   // the hold of this process on an object of a remote manager

// How a reference to an object travels: what there is of it depends on where it goes.
enum class Way : std::uint8_t {
  within = 0,   // to or from its own manager: by number
  family = 1,   // to another process of the family: by handle
  address = 2,  // to a process that will connect by itself
};

// A reference to a served object: it lives as long as anybody has one.
class Object {
 public:
  Object() noexcept = default;
  Object(std::shared_ptr<Client> client, std::uint64_t id, memory::Ref companion, std::shared_ptr<Held> held) noexcept;

  [[nodiscard]] Client& client() const;  // throws std::logic_error when it is empty
  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  [[nodiscard]] friend bool operator==(const Object& a, const Object& b) noexcept {
    return a.id_ == b.id_ && a.client_ == b.client_;
  }

  // Travelling.  Only the fields that `way` needs are set.
  struct Parts {
    Way way = Way::within;
    std::uint64_t id = 0;
    memory::Ref companion;
    std::string address;
    std::string authkey;
    std::string manager;  // which one it is
  };
  [[nodiscard]] Parts depart() const;                // throws NotSendable
  static Object arrive(Parts&& parts);               // throws Error

 private:
  std::shared_ptr<Client> client_;
  std::uint64_t id_ = 0;
  memory::Ref companion_;       // of a manager of this family: what its holders hold
  std::shared_ptr<Held> held_;  // of a remote one
};

// Memory for calls and answers, one of each per thread, kept.
struct AnswerBuffer {
  std::vector<std::byte> own;
  std::span<const std::byte> bytes;                                   // in `own`, or lent by the client until next time
  memory::Ref block;                                                  // that they are in
  std::vector<std::pair<std::uint64_t, std::uint64_t>> objects;       // that the value being read names: id, companion
};

// Within a value that goes to a manager or comes from one: proxies in it are told by number.
struct Context {
  Client* client;
  std::vector<std::uint64_t>* going;                                     // objects that the value names …
  const std::vector<std::pair<std::uint64_t, std::uint64_t>>* arriving;  // … with their companions
  const Context* outer;  // of the call in whose value a serializer makes this call
};

class Answer {
 public:
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer();

  [[nodiscard]] bool timed_out() const noexcept { return timed_out_; }
  [[nodiscard]] std::int64_t number() const noexcept { return number_; }
  [[nodiscard]] std::size_t left() const noexcept { return values_; }  // values not read yet
  template <class T>
  [[nodiscard]] T next() {
    const Reading reading(*this);
    codec::Decoder in(reading.bytes);
    if (!reading.may_name_handles) in.forbid_handles();
    return codec::decode<T>(in);
  }
  [[nodiscard]] Object next_object();  // of a value that names one, and has no bytes

 private:
  friend class Ask;
  struct Reading {
    explicit Reading(Answer& answer);
    ~Reading();
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    std::span<const std::byte> bytes;
    bool may_name_handles;
    Context context;
  };
  // Makes the call; throws what it ended with.
  Answer(std::shared_ptr<Client> client, std::span<const std::byte> request, std::span<const memory::Ref> handles,
         Deadline deadline);

  std::shared_ptr<Client> client_;
  channel::Scratch<AnswerBuffer> buffer_;
  std::size_t at_ = 0;
  std::size_t values_ = 0;
  std::int64_t number_ = 0;
  bool timed_out_ = false;
};

class Ask {
 public:
  Ask(const Object& object, Op op, Deadline deadline = Deadline::never());
  Ask(const Ask&) = delete;
  Ask& operator=(const Ask&) = delete;
  ~Ask();

  // What the operation takes of numbers.
  Ask& numbers(std::int64_t first, std::int64_t second = 0) noexcept;
  template <class T>
  Ask& value(const T& value) {
    Writing writing(*this);
    codec::encode(*encoder_, value);
    writing.finish();
    return *this;
  }
  Ask& text(std::string_view text);  // as it is
  // A value that writes itself: write_all(codec::Encoder&).
  template <class WriteAll>
  Ask& value_by(const WriteAll& write_all) {
    Writing writing(*this);
    write_all(*encoder_);
    writing.finish();
    return *this;
  }
  // The deadline is not that of the answer, which the server may take any time for.
  Ask& however_long() noexcept {
    deadline_ = Deadline::never();
    return *this;
  }
  [[nodiscard]] Answer send();
  void post();  // Op::release: no answer

 private:
  struct Writing {
    explicit Writing(Ask& ask);
    ~Writing();
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;
    void finish();
    Ask& ask;
    Context context;
    std::size_t start;
    std::size_t carried;
  };
  [[nodiscard]] std::byte* header() noexcept;

  std::shared_ptr<Client> client_;
  Deadline deadline_;
  channel::Scratch<codec::Encoder> encoder_;
  std::vector<std::uint64_t> objects_;  // that the value being written names
  std::uint32_t values_ = 0;
};

[[nodiscard]] std::uint64_t fingerprint(const std::type_info& type) noexcept;

// The base of every proxy: a handle.
class ProxyBase {
 public:
  [[nodiscard]] friend bool operator==(const ProxyBase& a, const ProxyBase& b) noexcept {
    return a.object_ == b.object_;
  }

  // Travelling inside messages (serialize.hpp).
  template <class Archive>
  void save(Archive& archive) const {
    const Object::Parts parts = object_.depart();
    archive(static_cast<std::uint8_t>(parts.way), parts.id);
    if (parts.way == Way::family) archive.carry(parts.companion);
    if (parts.way == Way::address) archive(parts.address, parts.authkey, parts.manager);
  }
  template <class Archive>
  void load(Archive& archive) {
    Object::Parts parts;
    std::uint8_t way = 0;
    archive(way, parts.id);
    parts.way = static_cast<Way>(way);
    if (parts.way == Way::family) parts.companion = archive.adopt();
    if (parts.way == Way::address) archive(parts.address, parts.authkey, parts.manager);
    object_ = Object::arrive(std::move(parts));
  }

 protected:
  ProxyBase() noexcept = default;
  explicit ProxyBase(Object object) noexcept : object_(std::move(object)) {}
  [[nodiscard]] Ask ask(Op op, Deadline deadline = Deadline::never()) const { return Ask(object_, op, deadline); }
  Object object_;
};

}  // namespace multiprocessing::managers

#pragma GCC visibility pop
