// Queue<T>: a first-in first-out queue between processes and threads, with a bound or without.
//
//   mp::Queue<std::string> q;                            // no bound; mp::Queue<int> q(5): put() blocks at 5 items
//   mp::Process consumer([](mp::Queue<std::string> in) {
//     for (std::string bun : in) eat(bun);               // ends when the queue is closed and empty
//   }, q);
//   consumer.start();
//   q.put("bun 1");
//   q.close();                                           // no more puts; what is in the queue is still delivered
//
// Items: anything that can be sent (serialize.hpp), from 0 bytes to 1 TiB, handles of this library included.
// Order: items of one producer arrive in the order they were put.
// Handles: a Queue is a handle; copies name the same queue.  Pass it to a Process, to a pool task, or put it into
// another queue.  The queue lives until the last process lets go of its last handle or dies.  All operations are
// const, as with any handle.
// Threads: any number of threads of any number of processes may use one queue; one Queue object is like an int.
// Fork: a child started by this library owns copies of all handles of its parent.  Not for signal handlers.
//
// What a death does to it (SIGKILL at any instruction): nothing.  An item whose put() had returned is in shared
// memory and is delivered; an item of a put() that had not returned is there whole or not at all; an item that a
// consumer was taking goes to the next consumer, unless its get() had already taken it: then it went with the
// process.  There is no feeder thread: nothing is lost when a producer exits.
//
// A stopped (not dead) process can delay others, up to their own timeouts, when it is stopped in the middle of a
// copy.  Errors: Full, Empty, Closed as said below; what serializers throw leaves the queue as it was; OsError when
// there is no memory.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/byte_queue.hpp"
#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/detail/message_buffer.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/loan.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace channel {
[[noreturn]] void throw_full();
[[noreturn]] void throw_empty();
[[noreturn]] void throw_put_after_close();
[[noreturn]] void throw_closed_and_empty();
[[noreturn]] void throw_nothing_to_acknowledge();
[[noreturn]] void throw_done_too_often();
[[nodiscard]] std::uint64_t fingerprint(std::string_view type_name) noexcept;
}  // namespace channel

// What becomes of an item whose taker dies before it is done with it.
enum class Delivery {
  at_most_once,   // it went with that process
  at_least_once,  // it goes to another consumer, unless its taker had called task_done(); it may be done twice, then
};

template <class T>
class Queue {
 public:
  static_assert(std::same_as<T, std::remove_cvref_t<T>>, "the item type of a Queue is a plain value type");

  // maxsize 0: no bound, as in Python (there negative values, too; here they throw std::invalid_argument).
  Queue() : Queue(0) {}
  explicit Queue(std::integral auto maxsize, Delivery delivery = Delivery::at_most_once)
      : Queue(channel::QueueSettings{
            .maxsize = checked(maxsize), .type = type(), .leasing = delivery == Delivery::at_least_once}) {}

  // --- putting -------------------------------------------------------------------------------------------------
  // Blocks while the queue is full.  Throws Closed after close().
  void put(const T& item) const { put_until(item, Deadline::never()); }
  // Throws Full when there is no room within `patience`.
  template <class Rep, class Period>
  void put(const T& item, std::chrono::duration<Rep, Period> patience) const {
    put_until(item, Deadline::after(patience));
  }
  void put_nowait(const T& item) const { put_until(item, Deadline::passed()); }  // throws Full
  [[nodiscard]] bool try_put(const T& item) const {                              // false: full.  Throws Closed
    return put_one(item, Deadline::passed());
  }
  // All items in order, at the price of few lock operations: much faster than put() for small items.  Blocks until
  // all are in.  Throws Closed when the queue is closed before that; those already in are delivered.
  template <std::ranges::input_range Range>
  void put_many(Range&& items) const {
    put_range(std::forward<Range>(items), Deadline::never());
  }
  // The number of items that found room within `patience`: the first so many.
  template <std::ranges::input_range Range, class Rep, class Period>
  [[nodiscard]] std::size_t put_many(Range&& items, std::chrono::duration<Rep, Period> patience) const {
    return put_range(std::forward<Range>(items), Deadline::after(patience));
  }

  // --- getting -------------------------------------------------------------------------------------------------
  // Blocks while the queue is empty.  Throws Closed once it is closed and empty.
  [[nodiscard]] T get() const { return get_until(Deadline::never()); }
  // Throws Empty when nothing comes within `patience`.
  template <class Rep, class Period>
  [[nodiscard]] T get(std::chrono::duration<Rep, Period> patience) const {
    return get_until(Deadline::after(patience));
  }
  [[nodiscard]] T get_nowait() const { return get_until(Deadline::passed()); }  // throws Empty
  [[nodiscard]] std::optional<T> try_get() const {                              // nothing: empty, closed or not
    return take_one(Deadline::passed()).item;
  }
  // Waits for the first item as get() does, then takes what else is there, `most` at the most.
  [[nodiscard]] std::vector<T> get_many(std::size_t most) const { return take_many(most, Deadline::never()); }
  template <class Rep, class Period>
  [[nodiscard]] std::vector<T> get_many(std::size_t most, std::chrono::duration<Rep, Period> patience) const {
    return take_many(most, Deadline::after(patience));
  }

  // --- without copying: large items of a queue of vectors or strings (loan.hpp) ------------------------------------
  // Memory for an item of `count` elements, to be written and published.
  [[nodiscard]] auto loan(std::size_t count) const
  requires codec::is_bulk<T>
  {
    return Loan<typename T::value_type>(queue_, count);
  }
  // As get(), get(patience) and try_get(), but the item stays where it is.
  [[nodiscard]] auto view() const
  requires codec::is_bulk<T>
  {
    return view_until(Deadline::never());
  }
  template <class Rep, class Period>
  [[nodiscard]] auto view(std::chrono::duration<Rep, Period> patience) const
  requires codec::is_bulk<T>
  {
    return view_until(Deadline::after(patience));
  }
  [[nodiscard]] auto try_view() const
  requires codec::is_bulk<T>
  {
    return view_one(Deadline::passed()).view;
  }

  // for (T item : queue): get() until Closed.  Several processes may iterate; each item goes to one of them.
  class Iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(const Queue& queue) : queue_(&queue) { ++*this; }
    T& operator*() const noexcept { return *item_; }
    Iterator& operator++() {
      item_ = queue_->take_one(Deadline::never()).item;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) noexcept { return !it.item_; }

   private:
    const Queue* queue_;
    mutable std::optional<T> item_;
  };
  [[nodiscard]] Iterator begin() const { return Iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

  // Of a queue that delivers at least once: the oldest item that this thread has taken is done with (or, if it has none,
  // that this process or anybody has).  Throws std::invalid_argument when there is none: called too often;
  // std::logic_error when the queue delivers at most once.
  void task_done() const {
    if (!queue_.leasing()) channel::throw_nothing_to_acknowledge();
    if (!queue_.acknowledge()) channel::throw_done_too_often();
  }

  // --- state ---------------------------------------------------------------------------------------------------
  // No more puts: they throw Closed, also those that wait for room now.  Consumers get what is left and then Closed.
  // Idempotent.
  void close() const { queue_.close(); }
  [[nodiscard]] bool closed() const noexcept { return queue_.closed(); }
  // As in Python these are snapshots: others may put and get meanwhile.
  [[nodiscard]] std::size_t qsize() const noexcept { return queue_.size(); }
  [[nodiscard]] bool empty() const noexcept { return qsize() == 0; }
  [[nodiscard]] bool full() const noexcept { return maxsize() != 0 && qsize() >= maxsize(); }
  [[nodiscard]] std::size_t maxsize() const noexcept { return queue_.maxsize(); }

  // A descriptor for the program's own poll or epoll (level-triggered), not to be read from: readable while the queue
  // has items or is closed.  A thread of this process keeps it so, from the first call on: after a put it becomes
  // readable, and after the get that empties the queue unreadable, as soon as that thread has run; when a process was
  // killed in the middle of a put or get, within 100 ms.  So it may say "readable" once more than there are items:
  // take them with try_get().  It belongs to this process (a child asks for its own) and is valid while this process
  // has a handle of the queue; it is closed at most 100 ms later.  Throws OsError.
  [[nodiscard]] int fileno() const { return queue_.descriptor(); }

  // Travelling inside messages (serialize.hpp).
  explicit Queue(codec::Undecoded) noexcept : queue_(memory::Ref()) {}
  template <class Archive>
  void save(Archive& archive) const {
    archive.carry(queue_.ref());
  }
  template <class Archive>
  void load(Archive& archive) {
    queue_ = channel::ByteQueue(archive.adopt(), type());
  }

 protected:
  friend class Waitable;
  using Deadline = detail::Deadline;
  explicit Queue(const channel::QueueSettings& settings) : queue_(settings) {}
  [[nodiscard]] const channel::ByteQueue& bytes() const noexcept { return queue_; }
  static std::uint64_t type() noexcept { return channel::fingerprint(typeid(T).name()); }
  template <std::integral Size>
  static std::size_t checked(Size maxsize) {
    if (std::cmp_less(maxsize, 0) || std::cmp_greater(maxsize, 0x7fffffff)) {
      throw std::invalid_argument("Queue: maxsize is between 0 (no bound) and 2147483647");
    }
    return static_cast<std::size_t>(maxsize);
  }

 private:
  struct Taken {
    std::optional<T> item;
    bool closed = false;
  };
  static constexpr std::size_t batch = 1024;  // items per lock operation of put_many and get_many

  void put_until(const T& item, Deadline deadline) const {
    if (!put_one(item, deadline)) channel::throw_full();
  }

  bool put_one(const T& item, Deadline deadline) const {
    channel::PutOutcome outcome;
    if constexpr (codec::is_bulk<T>) {
      const channel::Message message{codec::bulk_bytes(item), {}};
      outcome = queue_.put({&message, 1}, deadline);
    } else {
      channel::Scratch<codec::Encoder> encoder;
      const Cleared cleared{*encoder};
      encoder->clear();
      codec::encode(*encoder, item);
      const channel::Message message{encoder->bytes(), encoder->carried()};
      outcome = queue_.put({&message, 1}, deadline);
    }
    if (outcome.closed) channel::throw_put_after_close();
    return outcome.done == 1;
  }

  template <class Range>
  std::size_t put_range(Range&& items, Deadline deadline) const {
    std::size_t done = 0;
    codec::Encoder encoder;
    std::vector<std::size_t> ends;
    std::vector<channel::Message> messages;
    const auto flush = [&] {
      messages.clear();
      std::size_t begin = 0;
      for (const std::size_t end : ends) {
        messages.push_back({encoder.bytes().subspan(begin, end - begin), {}});
        begin = end;
      }
      const channel::PutOutcome outcome = queue_.put(messages, deadline);
      done += outcome.done;
      if (outcome.closed) channel::throw_put_after_close();
      const bool all = outcome.done == messages.size();
      ends.clear();
      encoder.clear();
      return all;
    };
    for (const T& item : items) {
      if constexpr (codec::is_bulk<T>) {
        const auto bytes = codec::bulk_bytes(item);
        encoder.write(bytes.data(), bytes.size());
      } else {
        codec::encode(encoder, item);
        if (!encoder.carried().empty()) {  // messages with handles go one by one
          encoder.truncate(ends.empty() ? 0 : ends.back());
          if (!ends.empty() && !flush()) return done;
          if (!put_one(item, deadline)) return done;
          ++done;
          continue;
        }
      }
      ends.push_back(encoder.bytes().size());
      if ((ends.size() == batch || encoder.bytes().size() >= (std::size_t{1} << 20)) && !flush()) return done;
    }
    if (!ends.empty()) flush();
    return done;
  }

  T get_until(Deadline deadline) const {
    Taken taken = take_one(deadline);
    if (taken.item) return std::move(*taken.item);
    if (taken.closed) channel::throw_closed_and_empty();
    channel::throw_empty();
  }

  Taken take_one(Deadline deadline) const {
    Taken taken;
    if constexpr (codec::is_bulk<T>) {
      T value{};
      channel::BulkReceiver<T, codec::bulk_reserve<T>, codec::bulk_assign<T>> receiver(value);
      const channel::TakeOutcome outcome = queue_.take(receiver, 1, deadline);
      taken.closed = outcome.closed;
      if (outcome.done == 1) {
        receiver.done();
        taken.item.emplace(std::move(value));
      }
    } else {
      channel::Scratch<channel::MessageBuffer> buffer;
      buffer->expect(1);
      const channel::TakeOutcome outcome = queue_.take(*buffer, 1, deadline);
      taken.closed = outcome.closed;
      if (outcome.done == 1) {
        const Cleanup cleanup{*buffer};
        codec::Decoder decoder(buffer->message(0));
        taken.item.emplace(codec::decode<T>(decoder));
      }
    }
    return taken;
  }

  template <class Element>
  struct Viewed {
    std::optional<View<Element>> view;
    bool closed = false;
  };
  auto view_one(Deadline deadline) const {
    using Element = typename T::value_type;
    View<Element> view;
    typename View<Element>::Receiver receiver(view);
    const channel::TakeOutcome outcome = queue_.take(receiver, 1, deadline);
    Viewed<Element> viewed{{}, outcome.closed};
    if (outcome.done == 1) viewed.view.emplace(std::move(view));
    return viewed;
  }
  auto view_until(Deadline deadline) const {
    auto viewed = view_one(deadline);
    if (viewed.view) return std::move(*viewed.view);
    if (viewed.closed) channel::throw_closed_and_empty();
    channel::throw_empty();
  }

  std::vector<T> take_many(std::size_t most, Deadline deadline) const {
    if (most == 0) return {};
    channel::Scratch<channel::MessageBuffer> buffer;
    const std::size_t wanted = std::min(most, batch);
    buffer->expect(wanted);
    const channel::TakeOutcome outcome = queue_.take(*buffer, wanted, deadline);
    if (outcome.closed) channel::throw_closed_and_empty();
    if (outcome.done == 0) channel::throw_empty();
    const Cleanup cleanup{*buffer};
    std::vector<T> items;
    items.reserve(outcome.done);
    for (std::size_t i = 0; i < outcome.done; ++i) {
      if constexpr (codec::is_bulk<T>) {
        T value{};
        const std::span<const std::byte> bytes = buffer->message(i);
        codec::bulk_reserve(value, bytes.size());
        codec::bulk_assign(value, bytes);
        items.push_back(std::move(value));
      } else {
        codec::Decoder decoder(buffer->message(i));
        items.push_back(codec::decode<T>(decoder));
      }
    }
    return items;
  }

  struct Cleared {  // holds no handle of an item any longer, also when it could not be put
    codec::Encoder& encoder;
    ~Cleared() { encoder.clear(); }
  };
  struct Cleanup {
    channel::MessageBuffer& buffer;
    ~Cleanup() { buffer.done(); }
  };

  channel::ByteQueue queue_;
};

// A queue that knows when everything that was put into it is done with, as Python's JoinableQueue.  Other than there,
// task_done() is about an item that was taken: without one it throws.
//
//   mp::JoinableQueue<int> q(1000);
//   while (true) { work_on(q.get()); q.task_done(); }      // in the consumers
//   q.join();                                              // in the producer: waits until all items are done
//
// An item whose taker dies before task_done() is handed out again, once; whose second taker dies too is given up, and
// the next join() throws Error saying how many such there were.  So no death makes join() wait for ever; it does wait,
// as in Python, when no consumer is left.
template <class T>
class JoinableQueue : public Queue<T> {
 public:
  JoinableQueue() : JoinableQueue(0) {}
  explicit JoinableQueue(std::integral auto maxsize)
      : Queue<T>(channel::QueueSettings{
            .maxsize = Queue<T>::checked(maxsize), .type = Queue<T>::type(), .leasing = true, .most_deliveries = 2}) {}
  explicit JoinableQueue(codec::Undecoded undecoded) noexcept : Queue<T>(undecoded) {}

  void join() const { this->bytes().join(detail::Deadline::never()); }
  template <class Rep, class Period>
  [[nodiscard]] bool join(std::chrono::duration<Rep, Period> patience) const {  // false: not done within `patience`
    return this->bytes().join(detail::Deadline::after(patience));
  }
};

// A queue with the least of operations, as Python's SimpleQueue: put() never waits, get() does.
template <class T>
class SimpleQueue {
 public:
  SimpleQueue() = default;
  explicit SimpleQueue(codec::Undecoded undecoded) noexcept : queue_(undecoded) {}
  void put(const T& item) const { queue_.put(item); }
  [[nodiscard]] T get() const { return queue_.get(); }
  [[nodiscard]] bool empty() const noexcept { return queue_.empty(); }
  void close() const { queue_.close(); }
  [[nodiscard]] int fileno() const { return queue_.fileno(); }

  template <class Archive>
  void save(Archive& archive) const {
    queue_.save(archive);
  }
  template <class Archive>
  void load(Archive& archive) {
    queue_.load(archive);
  }

 private:
  friend class Waitable;
  Queue<T> queue_;
};

}  // namespace multiprocessing

#pragma GCC visibility pop
