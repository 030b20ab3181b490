// Loan and View: large items of a queue written in place and read in place.
//
//   mp::Queue<std::vector<float>> frames(8);
//
//   mp::Loan<float> slot = frames.loan(1920 * 1080);      // the producer: memory that the consumer will see
//   render(slot.data(), slot.size());
//   slot.publish();                                       // puts it, without copying it
//
//   mp::View<float> frame = frames.view();                // the consumer: a get() without copying it
//   show(std::span<const float>(frame));
//
// Of queues whose item is a vector of plain values or a string.  A published item is an item as any other: get() gets it
// too (and copies it), and view() also sees what put() put (then it holds a copy).  Below about 100 KiB, put() and get()
// are as fast.  Both are contiguous ranges: data(), size(), iteration, conversion to std::span.
//
// Memory: shared, secured, uninitialised: a loan holds whatever was there.  It is in the producer's hands until publish(),
// in the consumer's until its View goes.  A process keeps what it has published, up to a sixteenth of the machine's memory
// and 1 GiB, to lend it again when nobody has it any more; it gives that back when it lets go of a queue, starts a process
// or makes a pool.
// Threads: one object, one thread at a time.  Fork: a child has a loan and a view as its parent has; do not write to both.
// Death: a loan or a view goes with its process, its memory goes back; an item whose publish() had returned is delivered.
// Errors: OsError when there is no memory for a loan; those of Queue::put() and Queue::get().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "multiprocessing/detail/byte_queue.hpp"
#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/detail/ref.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace channel {
[[noreturn]] void throw_full();
[[noreturn]] void throw_put_after_close();
[[noreturn]] void throw_no_loan();
[[noreturn]] void throw_longer_than_loan();
}  // namespace channel

template <class Element>
class Loan {
 public:
  using value_type = Element;
  using iterator = Element*;

  Loan(Loan&& other) noexcept
      : queue_(std::move(other.queue_)),
        block_(std::exchange(other.block_, {})),
        size_(std::exchange(other.size_, 0)) {}
  Loan& operator=(Loan&& other) noexcept {
    std::swap(queue_, other.queue_);
    std::swap(block_, other.block_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Loan() { give_up(); }

  // Until it is published; nothing then.
  [[nodiscard]] Element* data() const noexcept { return static_cast<Element*>(block_.ref.address()); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] Element* begin() const noexcept { return data(); }
  [[nodiscard]] Element* end() const noexcept { return data() + size(); }
  [[nodiscard]] Element& operator[](std::size_t index) const noexcept { return data()[index]; }

  // Keeps the first `count` elements, as after a read() that got less.  Throws std::invalid_argument when it has fewer.
  void truncate(std::size_t count) {
    if (count > size_) channel::throw_longer_than_loan();
    size_ = count;
  }

  // As Queue::put().  Throws std::logic_error when it has been published; with Full and Closed the loan stays.
  void publish() { publish_until(detail::Deadline::never()); }
  template <class Rep, class Period>
  void publish(std::chrono::duration<Rep, Period> patience) {
    publish_until(detail::Deadline::after(patience));
  }
  void publish_nowait() { publish_until(detail::Deadline::passed()); }
  [[nodiscard]] bool try_publish() { return published_by(detail::Deadline::passed()); }

 private:
  template <class>
  friend class Queue;
  Loan(const channel::ByteQueue& queue, std::size_t count)
      : queue_(queue), block_(memory::take_block(bytes_of(count))), size_(count) {}

  static std::size_t bytes_of(std::size_t count) {
    constexpr std::size_t most = ~std::size_t{0};  // there is never so much: take_block() says so
    return count > most / sizeof(Element) ? most : count * sizeof(Element);
  }
  void publish_until(detail::Deadline deadline) {
    if (!published_by(deadline)) channel::throw_full();
  }
  bool published_by(detail::Deadline deadline) {
    if (!block_.ref) channel::throw_no_loan();
    const channel::Message message{std::as_bytes(std::span(data(), size_)), {}, &block_.ref};
    const channel::PutOutcome outcome = queue_.put({&message, 1}, deadline);
    if (outcome.closed) channel::throw_put_after_close();
    if (outcome.done == 1) give_up();
    return outcome.done == 1;
  }
  void give_up() noexcept {
    memory::keep_block(std::exchange(block_, {}));
    size_ = 0;
  }

  channel::ByteQueue queue_;
  memory::Block block_;
  std::size_t size_;
};

template <class Element>
class View {
 public:
  using value_type = Element;
  using iterator = const Element*;

  View(View&& other) noexcept
      : block_(std::move(other.block_)), copy_(std::move(other.copy_)), elements_(std::exchange(other.elements_, {})) {}
  View& operator=(View&& other) noexcept {
    block_ = std::move(other.block_);
    copy_ = std::move(other.copy_);
    elements_ = std::exchange(other.elements_, {});
    return *this;
  }
  ~View() = default;

  [[nodiscard]] const Element* data() const noexcept { return elements_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return elements_.size(); }
  [[nodiscard]] bool empty() const noexcept { return elements_.empty(); }
  [[nodiscard]] const Element* begin() const noexcept { return data(); }
  [[nodiscard]] const Element* end() const noexcept { return data() + size(); }
  [[nodiscard]] const Element& operator[](std::size_t index) const noexcept { return elements_[index]; }

 private:
  template <class>
  friend class Queue;
  View() noexcept = default;

  // An item that lies in the ring is copied out, as by get().
  class Receiver final : public channel::Receiver {
   public:
    explicit Receiver(View& view) noexcept : view_(view) {}
    [[nodiscard]] std::size_t room() const noexcept override { return room_; }
    void reserve(std::size_t bytes) override {
      view_.copy_ = std::make_unique_for_overwrite<Element[]>(bytes / sizeof(Element));
      room_ = bytes;
    }
    void accept(std::span<const std::byte> bytes) noexcept override {
      if (!bytes.empty()) std::memcpy(view_.copy_.get(), bytes.data(), bytes.size());
      view_.elements_ = {view_.copy_.get(), bytes.size() / sizeof(Element)};
    }
    void accept_block(memory::Ref block, std::size_t bytes) noexcept override {
      view_.block_ = std::move(block);
      view_.elements_ = {static_cast<const Element*>(view_.block_.address()), bytes / sizeof(Element)};
    }
    void accept_handles(std::vector<memory::Ref>) noexcept override {}

   private:
    View& view_;
    std::size_t room_ = 0;
  };

  memory::Ref block_;
  std::unique_ptr<Element[]> copy_;
  std::span<const Element> elements_;
};

}  // namespace multiprocessing

#pragma GCC visibility pop
