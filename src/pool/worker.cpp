#include "pool/worker.hpp"

#include <cxxabi.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "crash/handler.hpp"
#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/callable.hpp"
#include "multiprocessing/detail/pool_core.hpp"
#include "multiprocessing/detail/traced_call.hpp"
#include "multiprocessing/this_task.hpp"
#include "os/faults.hpp"
#include "pool/block.hpp"
#include "pool/exceptions.hpp"
#include "process/bootstrap.hpp"
#include "process/identity.hpp"

namespace multiprocessing::pool {
namespace {

// For stop_requested(): this worker's word in its mailbox, and what it says when the running task is meant.
constinit std::atomic<const std::atomic<std::uint32_t>*> stop_word{nullptr};
constexpr std::uint32_t nobody = ~std::uint32_t{0};
constinit std::atomic<std::uint32_t> stop_value{nobody};

class Worker {
 public:
  Worker(Mailbox& mailbox, sync::EventCount& doorbell, const PoolOptions& options)
      : mailbox_(mailbox), doorbell_(doorbell), options_(options), timed_(mailbox.time_tasks.load() != 0) {}

  bool initialize() {
    try {
      if (options_.initializer) crash::traced(options_.initializer);
    } catch (abi::__forced_unwind&) {
      throw;
    } catch (...) {
      result_.clear();
      encode_current_exception(result_);
      send(not_ready);
      return false;
    }
    mailbox_.ready.store(1, std::memory_order_release);
    doorbell_.notify();
    return true;
  }

  // False: told to finish and nothing is left, or it has run as many as it may.
  bool run_next() {
    if (options_.max_tasks_per_child != 0 && done_ == options_.max_tasks_per_child) return false;
    if (!begin_task()) return false;
    MULTIPROCESSING_STEP("pool.worker.begun");
    const std::uint32_t flags = run_task();
    MULTIPROCESSING_STEP("pool.worker.ran");
    send(flags);
    ++done_;
    return true;
  }

  // From here on its place is as good as empty: what it has not begun goes to others when it has ended.
  int leave() {
    mailbox_.leaving_ns.store(steady_ns(), std::memory_order_release);
    base::log(LogLevel::debug, "worker exiting after ", done_, " tasks");
    try {
      if (options_.finalizer) crash::traced(options_.finalizer);
      return 0;
    } catch (abi::__forced_unwind&) {
      throw;
    } catch (...) {
      process_::print_uncaught(process_::identity().name);
      return 1;
    }
  }

 private:
  static constexpr std::size_t largest_kept = std::size_t{1} << 20;

  // Waits for a task and takes it.
  bool begin_task() {
    bool taken = false;
    const auto ready = [&] {
      if (!sent_.empty()) let_go_of_sent();  // also by a worker that has nothing more to do
      taken = try_take();
      return taken || mailbox_.finish.load(std::memory_order_acquire) != 0;
    };
    mailbox_.task_events.wait_until(ready, sync::Deadline::never());
    return taken;
  }

  bool try_take() {
    std::uint64_t word = mailbox_.ticket.load(std::memory_order_acquire);  // sync(task): pairs with Core::hand_over
    for (;;) {
      Ticket ticket = Ticket::of(word);
      if (ticket.unstarted() == 0 || ticket.halted) return false;
      ++ticket.taken;
      number_ = ticket.running();
      if (mailbox_.ticket.compare_exchange_weak(word, ticket.word(), std::memory_order_acq_rel)) return true;
    }
  }

  // Runs the task at the read position; its result, or exception, is in result_.
  std::uint32_t run_task() {
    result_.clear();
    exceptions_encoded = 0;
    if (timed_) begin_span();
    const std::uint32_t flags = run_and_encode();
    if (timed_) span_.end_ns = steady_ns();
    if (mailbox_.began.load(std::memory_order_relaxed) != 0) {
      mailbox_.began.store(0, std::memory_order_release);
      stop_value.store(nobody, std::memory_order_relaxed);
    }
    return flags | (exceptions_encoded != 0 ? std::uint32_t{threw} : 0) | (timed_ ? std::uint32_t{timed} : 0);
  }

  // Where it dies of the task, the host knows from `began` how long that has run.
  void begin_span() noexcept {
    span_.begin_ns = steady_ns();
    tell_beginning(span_.begin_ns);
  }

  void tell_beginning(std::uint64_t ns) noexcept {
    const Began began{static_cast<std::uint16_t>(number_), ns / 1000};
    mailbox_.began.store(began.word(), std::memory_order_release);
  }

  std::uint32_t run_and_encode() {
    try {
      Received task;
      if (!read_record(mailbox_.tasks, task_position_, task)) throw Error("the pool's mailbox is damaged");
      task_position_ = task.next;
      if ((task.flags & limited) != 0) {
        stop_value.store(number_ + 1, std::memory_order_relaxed);
        if (!timed_) tell_beginning(steady_ns());  // else it is told
      }
      const Block block(task);  // keeps what the payload lies in
      codec::Decoder in(block.bytes());
      const auto run =
          reinterpret_cast<codec::Trampoline>(const_cast<void*>(codec::code_of(codec::decode<codec::Token>(in))));
      crash::traced([&] { run(in, result_); });  // for what the user's serializers throw
      return 0;
    } catch (abi::__forced_unwind&) {
      throw;
    } catch (...) {
      result_.clear();
      encode_current_exception(result_);
      return failed;
    }
  }

  void send(std::uint32_t flags) {
    let_go_of_sent();
    const bool large = result_.bytes().size() > largest_kept;
    Sent sent;
    BlockName name;
    if (result_.bytes().size() > largest_in_ring - sizeof(Span)) {
      try {
        sent.handles.push_back(make_block(result_.bytes(), result_.carried(), name));
        flags |= by_handle;
      } catch (...) {  // no memory for it: the task has failed, the worker has not
        result_.clear();
        encode_current_exception(result_);
        flags |= failed;
      }
    }
    for (const memory::Ref& handle : result_.carried()) sent.handles.push_back(handle);
    std::span<const std::byte> payload =
        (flags & by_handle) != 0 ? std::as_bytes(std::span(&name, 1)) : result_.bytes();
    if ((flags & timed) != 0) payload = with_span(payload);
    const std::uint64_t end = place(tail_, record_bytes(payload.size())) + record_bytes(payload.size());
    const auto has_room = [&] {  // sync(result-space): pairs with Core::drain
      return end - mailbox_.result_head.load(std::memory_order_acquire) <= ring_bytes;
    };
    if (!has_room()) {
      doorbell_.notify();  // the host may be asleep: it was not told of every result
      mailbox_.result_space.wait_until(has_room, sync::Deadline::never());
    }
    tail_ = write_record(mailbox_.results, tail_, flags, payload);
    MULTIPROCESSING_STEP("pool.worker.written");
    mailbox_.result_tail.store(tail_, std::memory_order_release);  // sync(result): pairs with Core::drain
    MULTIPROCESSING_STEP("pool.worker.sent");
    if (!sent.handles.empty()) {
      sent.end = tail_;
      sent_.push_back(std::move(sent));
    }
    const Ticket ticket = Ticket::of(mailbox_.ticket.load(std::memory_order_relaxed));
    if (ticket.unstarted() <= mailbox_.low_water.load(std::memory_order_relaxed) || (flags & ~timed) != 0) {
      doorbell_.notify();
    }
    result_.clear();
    if (large) result_ = codec::Encoder();  // gives its memory back
  }

  std::span<const std::byte> with_span(std::span<const std::byte> payload) {
    const auto span = std::as_bytes(std::span(&span_, 1));
    with_span_.assign(span.begin(), span.end());
    with_span_.insert(with_span_.end(), payload.begin(), payload.end());
    return with_span_;
  }

  // What results have named is held here until the host, having passed them, holds it itself.
  void let_go_of_sent() {
    const std::uint64_t head = mailbox_.result_head.load(std::memory_order_acquire);
    while (!sent_.empty() && sent_.front().end <= head) sent_.pop_front();
  }

  struct Sent {
    std::uint64_t end = 0;
    std::vector<memory::Ref> handles;
  };

  Mailbox& mailbox_;
  sync::EventCount& doorbell_;
  const PoolOptions& options_;
  const bool timed_;  // the pool is traced
  Span span_;         // of the task that was begun last, if timed
  std::vector<std::byte> with_span_;
  codec::Encoder result_;
  std::uint32_t number_ = 0;  // of the task that was begun last
  std::size_t done_ = 0;
  std::uint64_t task_position_ = 0;
  std::uint64_t tail_ = 0;
  std::deque<Sent> sent_;
};

}  // namespace

int work(Mailbox& mailbox, sync::EventCount& doorbell, const PoolOptions& options) {
  stop_word.store(&mailbox.stop_requested);
  memory_limit_of_this_process.store(options.memory_limit);
  // Never destroyed: what its last results name is held until the host, having seen them, reaps this process.
  Worker& worker = *new Worker(mailbox, doorbell, options);
  crash::install_handler(mailbox.crash);
  if (!worker.initialize()) return 1;
  while (worker.run_next()) {
  }
  return worker.leave();
}

}  // namespace multiprocessing::pool

namespace multiprocessing {

bool stop_requested() noexcept {
  const auto* const word = pool::stop_word.load(std::memory_order_relaxed);
  return word != nullptr && word->load(std::memory_order_acquire) == pool::stop_value.load(std::memory_order_relaxed);
}

}  // namespace multiprocessing
