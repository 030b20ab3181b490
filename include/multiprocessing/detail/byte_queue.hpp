// ByteQueue: the queue of messages (runs of bytes and the handles they name) below Queue<T>.  Layer: channel.
// The protocol, its layout and its table of deaths are in src/channel/byte_queue.cpp and docs/formats/queue.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/detail/ref.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::channel {

using detail::Deadline;

struct Message {
  std::span<const std::byte> bytes;
  std::span<const memory::Ref> handles;
  const memory::Ref* block = nullptr;  // of which bytes is the beginning: it travels, they are not copied
};

// Where taken messages go.  What accepts runs while the queue's lock is held: it copies, and nothing else.
class Receiver {
 public:
  virtual ~Receiver() = default;
  [[nodiscard]] virtual std::size_t room() const noexcept = 0;  // bytes that accept() can take without allocating
  virtual void reserve(std::size_t bytes) = 0;                  // makes room for a message; may allocate, may throw
  virtual void accept_handles(std::vector<memory::Ref> handles) noexcept = 0;  // of the message that comes next
  virtual void accept(std::span<const std::byte> bytes) noexcept = 0;          // a message
  virtual void accept_block(memory::Ref block, std::size_t bytes) noexcept = 0;  // one that is the beginning of a block
};

struct PutOutcome {
  std::size_t done = 0;  // messages that are in the queue now, the first ones of those given
  bool closed = false;
};
struct TakeOutcome {
  std::size_t done = 0;
  bool closed = false;  // closed and empty: nothing will come any more
};

struct QueueSettings {
  std::size_t maxsize = 0;  // 0: no bound
  std::uint64_t type = 0;   // a fingerprint of the item type, checked when a handle arrives in another process
  bool leasing = false;     // what was taken is kept until acknowledge(), and delivered again when its taker dies:
  std::uint32_t most_deliveries = 0;  // so often altogether; 0: no bound
};

class ByteQueue {
 public:
  explicit ByteQueue(const QueueSettings& settings);
  ByteQueue(memory::Ref ref, std::uint64_t type);  // throws TypeMismatch
  explicit ByteQueue(memory::Ref empty) noexcept : ref_(std::move(empty)) {}

  // Puts messages in order until all are in, the deadline passes or the queue is closed.  Throws OsError(ENOMEM);
  // those already in stay in.  Handles are allowed for single messages only.
  PutOutcome put(std::span<const Message> messages, Deadline deadline) const;
  // Waits for the first message, then takes up to `most` that are there.
  TakeOutcome take(Receiver& receiver, std::size_t most, Deadline deadline) const;

  // Of a leasing queue: the oldest item that this thread has taken (or this process, or anybody) is done with.  False:
  // there is none.
  bool acknowledge() const;
  // Waits until nothing is in the queue and everything taken is acknowledged.  Throws Error when items were lost since
  // the last call, because their takers died as often as may be.  False: not by the deadline.
  bool join(Deadline deadline) const;
  [[nodiscard]] bool leasing() const noexcept;

  void close() const;
  [[nodiscard]] bool closed() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::size_t maxsize() const noexcept;
  // take() would not wait: there is a message, or the queue is closed.
  [[nodiscard]] bool ready() const;
  // A descriptor of this process that follows ready(), for poll (queue_watch.hpp).  Throws OsError.
  [[nodiscard]] int descriptor() const;
  [[nodiscard]] const memory::Ref& ref() const noexcept { return ref_; }

 private:
  memory::Ref ref_;
};

}  // namespace multiprocessing::channel

#pragma GCC visibility pop
