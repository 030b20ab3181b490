// The queue's protocol.
//
// Invariants
//   1. Producers exclude each other by one robust lock, consumers by another; a producer and a consumer never wait
//      for each other's lock.  What a side writes is valid at every instruction.
//   2. Each operation commits by a single store.  Nothing is repaired after a death, except that mirrors (puts,
//      takes) and tail_segment are brought up to date by whoever comes next.
//   3. Ring space between head and tail belongs to consumers, the rest to producers; only the store that moves a
//      cursor hands it over.
//   4. A segment is freed only when head_segment and tail_segment both have left it, in one transaction with the
//      store that makes head_segment leave it.
//   5. spare and head_segment change in transactions of the arena.  One that a death has cut short may still be
//      undone, so whoever takes a side's lock from a dead owner has it undone before looking at either.
//
//  put        died …                             what the others see
//   1 copy     while writing record               nothing: tail has not moved
//   2 commit   after storing tail                 the message; `puts` (hence qsize) lags until the next put
//   3 mirror   after storing puts                 the message
//   4 notify   before waking sleepers             the message; sleepers look by themselves (sync::Naps)
//  link (no room in the ring)
//   1 spare    after allocating                   a spare segment, used by the next producer that needs one
//   2 commit   after storing next                 a new empty segment; tail_segment is moved on by whoever comes next,
//                                                 a producer or the consumer that wants to leave the old segment
//   3 tail     after storing tail_segment         spare == tail_segment: the next producer clears spare
//              in allocate_run                    see invariant 5
//  get
//   1 copy     while reading the record           nothing: head has not moved, the next consumer gets the message
//   2 commit   after storing head                 the message went with the dead consumer (promise 2)
//   3 mirror   before storing takes               a bounded queue looks fuller by what died; the next consumer, or the
//                                                 producer that finds it full, sets it right
//   4 leave    head_segment moved, not yet freed  the run is in the dead one's limbo, freed with its other holds
//              in replace_run                     see invariant 5
//
// A message with handles is first loaded as cargo (memory/arena.hpp) and then committed; a consumer takes hold of the
// handles before it commits.  So what they name is held by somebody at every instant.  Cargo whose producer or
// consumer died stays loaded until the next get that finds any.
#include "multiprocessing/detail/byte_queue.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "channel/leases.hpp"
#include "channel/queue_consumer.hpp"
#include "channel/queue_layout.hpp"
#include "channel/queue_producer.hpp"
#include "channel/queue_side.hpp"
#include "memory/arena.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "sync/thread_id.hpp"
#include "synchronize/this_member.hpp"

namespace multiprocessing::channel {
namespace {

constexpr std::size_t smallest_stream = 16;  // a bound below it leaves no room to let room come together

// A producer that finds the queue full makes sure that this is not the lag of a consumer that died.  Without waiting:
// a living one that holds the lock sets `takes` right by itself.  True: `takes` has moved.
bool refresh_takes(const Ref& ref) {
  QueueHeader& header = header_of(ref);
  const std::uint64_t before = value(header.takes);
  const ConsumersSide side(ref);
  if (side.held()) Consumer{ref};
  return value(header.takes) != before;
}

// Not after a sleep: what did not come while it spun will not come soon, and a hundred idle processes that spin after
// each look are no longer idle.
template <class Ready>
bool spin_until(Ready ready) {
  for (sync::Spin spin; spin.again();) {
    if (!ready()) continue;
    spin.paid_off();
    return true;
  }
  return false;
}

// What the record names is held from here on.
std::vector<Ref> take_hold(const Consumer::Record& record) {
  std::vector<Ref> handles;
  handles.reserve(record.handles());
  for (std::size_t i = 0; i < record.handles(); ++i) {
    std::uint64_t id = 0;
    std::memcpy(&id, record.content + i * unit, sizeof id);
    handles.push_back(Ref::adopt(id));
  }
  return handles;
}

void deliver(const Consumer::Record& record, Receiver& receiver) {
  if (record.handles() == 0) return receiver.accept(record.bytes());
  std::vector<Ref> handles = take_hold(record);
  Ref block;
  if (record.is_in_block()) {
    block = std::move(handles.back());
    handles.pop_back();
    if (block.kind() != memory::Kind::block || block.bytes() < bytes_in(record.word)) throw_damaged("block");
  }
  if (!handles.empty()) receiver.accept_handles(std::move(handles));
  if (record.is_in_block()) return receiver.accept_block(std::move(block), bytes_in(record.word));
  receiver.accept(record.bytes());
}

Holder this_holder() { return {synchronize::this_member(), static_cast<std::uint64_t>(sync::thread_id())}; }

bool is_full(const QueueHeader& header) {
  return header.maxsize != 0 && static_cast<std::uint32_t>(value(header.puts)) -
                                        static_cast<std::uint32_t>(header.takes.load(std::memory_order_acquire)) >=
                                    header.maxsize;
}

// Messages too large for a ring are copied into blocks first, while no lock is held.
PutOutcome put_by_blocks(const ByteQueue& queue, std::span<const Message> messages, Deadline deadline) {
  struct Blocks : std::vector<memory::Block> {
    ~Blocks() {
      for (memory::Block& block : *this) memory::keep_block(std::move(block));
    }
  };
  if (deadline.is_over() && is_full(header_of(queue.ref())) && !refresh_takes(queue.ref()) && !queue.closed())
    return {};
  Blocks blocks;
  blocks.reserve(messages.size());
  std::vector<Message> smaller(messages.begin(), messages.end());
  for (Message& message : smaller) {
    if (fits_in_a_ring(message)) continue;
    memory::Block& block = blocks.emplace_back(memory::take_block(message.bytes.size()));
    std::memcpy(block.ref.address(), message.bytes.data(), message.bytes.size());
    message.bytes = {static_cast<const std::byte*>(block.ref.address()), message.bytes.size()};
    message.block = &block.ref;
  }
  return queue.put(smaller, deadline);
}

// Members that hold leases and are gone.  Looked at without the lock.
std::vector<std::uint64_t> gone_holders(const Ref& ref) {
  std::array<std::uint64_t, 256> names;
  std::size_t count = 0;
  {
    const ConsumersSide side(ref, Deadline::never());
    count = Leases(ref, header_of(ref)).holders(names);
  }
  std::vector<std::uint64_t> gone;
  std::copy_if(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(count), std::back_inserter(gone),
               [](std::uint64_t name) { return memory::is_gone(name); });
  return gone;
}

// Whether a name is one of these.
auto among(const std::vector<std::uint64_t>& names) {
  return [&names](std::uint64_t name) { return std::ranges::find(names, name) != names.end(); };
}

// One call of take(): what it has taken, and what it saw when there was nothing.
class Take {
 public:
  Take(const Ref& ref, Receiver& receiver, std::size_t most, Deadline deadline)
      : ref_(ref), header_(header_of(ref)), receiver_(receiver), most_(most), deadline_(deadline) {}

  TakeOutcome run() {
    bool looked_for_gone = false;
    for (sync::Naps naps;;) {
      attempt();
      if (outcome_.done != 0) break;
      if (header_.leasing != 0 && !std::exchange(looked_for_gone, true)) {  // before it says that there is nothing
        gone_ = gone_holders(ref_);
        if (!gone_.empty()) continue;
      }
      if (outcome_.closed) return outcome_;
      if (too_large_ != 0) {
        receiver_.reserve(too_large_);
        continue;
      }
      if (deadline_.is_over()) return outcome_;
      if (naps.none_yet() && spin_until([&] { return has_changed(); })) {
        slip_.wait();
        continue;
      }
      const auto ticket = header_.not_empty.prepare();
      attempt();
      if (outcome_.done != 0) break;
      if (!outcome_.closed && too_large_ == 0) header_.not_empty.wait(ticket, deadline_, naps.next());
      looked_for_gone = false;
    }
    if (header_.maxsize != 0) header_.not_full.notify_after_release();
    if (emptied_) header_.emptied.notify_after_release();
    if (memory::has_cargo(ref_)) memory::drop_cargo(ref_, oldest_number_);
    return outcome_;
  }

 private:
  // Takes what is there, and remembers the state of the queue that it leaves.
  void attempt() {
    bool left = false;
    {
      const ConsumersSide side(ref_, deadline_);
      if (!side.held()) return;
      const bool closed = header_.closed.load(std::memory_order_acquire) != 0;  // before looking: see close()
      Consumer consumer(ref_);
      Leases leases(ref_, header_);
      too_large_ = 0;
      pass_records(consumer, leases);
      const bool passed = outcome_.done != 0;
      if (!passed && too_large_ == 0 && !gone_.empty()) take_over(leases);
      MULTIPROCESSING_STEP("queue.get.looked");
      if (passed) consumer.commit();
      outcome_.closed = outcome_.done == 0 && too_large_ == 0 && closed;
      left = consumer.left_a_segment();
      emptied_ = consumer.available() == 0;
      oldest_number_ =
          header_.leasing != 0 && memory::has_cargo(ref_) ? leases.oldest_number(consumer.number()) : consumer.number();
      tail_word_ = &consumer.tail_word();
      tail_seen_ = consumer.tail_seen();
    }
    if (left) memory::finish_limbo();
  }

  void pass_records(Consumer& consumer, Leases& leases) {
    for (Consumer::Record record; outcome_.done < most_ && consumer.look(record);) {
      if (outcome_.done == 0) slip_.found(consumer.available());
      if (!accept(record)) return;
      if (header_.leasing != 0) leases.write(this_holder(), consumer.number(), record.word, record.all());
      consumer.pass(record);
      ++outcome_.done;
    }
  }

  // An item whose holder is gone, once more.
  void take_over(Leases& leases) {
    Lease* const again = leases.of_the_gone(among(gone_));
    if (again == nullptr || !accept({value(again->size), leases.item(*again).data(), 0})) return;
    leases.take_over(*again, this_holder());
    outcome_.done = 1;
  }

  // False: the receiver needs more room, if it is the first.
  bool accept(const Consumer::Record& record) {
    const std::size_t size = record.bytes().size();
    if (receiver_.room() >= size) {
      deliver(record, receiver_);
      return true;
    }
    if (outcome_.done == 0) too_large_ = size;
    return false;
  }

  // Without the lock: something may have come since the last attempt.
  [[nodiscard]] bool has_changed() const noexcept {
    return (tail_word_ != nullptr && tail_word_->load(std::memory_order_relaxed) != tail_seen_) ||
           value(header_.closed) != 0;
  }

  const Ref& ref_;
  QueueHeader& header_;
  Receiver& receiver_;
  const std::size_t most_;
  const Deadline deadline_;
  TakeOutcome outcome_;
  sync::Slip slip_;
  std::vector<std::uint64_t> gone_;  // members that died with leases
  std::size_t too_large_ = 0;        // bytes of the next record, which the receiver has no room for
  const Word* tail_word_ = nullptr;  // the ring's end as the last attempt saw it
  std::uint64_t tail_seen_ = 0;
  std::uint32_t oldest_number_ = 0;  // what comes before it nobody will get again
  bool emptied_ = false;
};

}  // namespace

ByteQueue::ByteQueue(const QueueSettings& settings) : ref_(Ref::create(memory::Kind::queue, sizeof(QueueHeader))) {
  auto& header = *new (ref_.address()) QueueHeader{};
  header.magic = queue_magic;
  header.type = settings.type;
  header.maxsize = settings.maxsize;
  header.leasing = settings.leasing ? 1 : 0;
  header.most_deliveries = settings.most_deliveries;
  memory::allocate_run(ref_, header.head_segment, first_segment);
  const std::uint64_t offset = value(header.head_segment);
  format(segment_at(offset), memory::run_bytes(offset), 0);
  header.tail_segment.store(offset, std::memory_order_release);
}

ByteQueue::ByteQueue(Ref ref, std::uint64_t type) : ref_(std::move(ref)) {
  if (ref_.kind() != memory::Kind::queue || header_of(ref_).type != type) {
    throw TypeMismatch("the received queue holds items of another type");
  }
}

PutOutcome ByteQueue::put(std::span<const Message> messages, Deadline deadline) const {
  QueueHeader& header = header_of(ref_);
  bool all_fit = true;
  for (const Message& message : messages) {
    if (message.bytes.size() > longest_message || message.handles.size() >= most_handles) {
      throw std::invalid_argument("a queue item is limited to 1 TiB and a million handles");
    }
    all_fit = all_fit && fits_in_a_ring(message);
  }
  if (!all_fit) return put_by_blocks(*this, messages, deadline);
  PutOutcome outcome;
  sync::Slip slip;
  sync::Naps naps;
  // Puts what fits; false: full.
  const auto attempt = [&]() -> bool {
    const Side side(header.producers, deadline);
    if (!side.held()) return false;
    Producer producer(ref_);
    outcome.closed = producer.closed();
    if (outcome.closed) return true;
    const std::size_t allowance = producer.allowance();
    slip.found(allowance);
    const std::size_t batch = std::min(allowance, messages.size() - outcome.done);
    for (std::size_t i = 0; i < batch; ++i) producer.write(messages[outcome.done + i]);
    if (batch != 0) producer.commit();
    outcome.done += batch;
    return outcome.done == messages.size();
  };
  const auto full = [&] { return is_full(header); };
  for (bool refreshed = false;;) {
    const std::size_t before = outcome.done;
    bool finished = false;
    try {
      finished = attempt();
    } catch (...) {
      header.not_empty.notify();  // there was no memory for one of them; those before it are in
      throw;
    }
    if (outcome.done != before) header.not_empty.notify_after_release();
    if (finished) return outcome;
    if (deadline.is_over()) {
      if (std::exchange(refreshed, true) || header.maxsize == 0 || !refresh_takes(ref_)) return outcome;
      continue;
    }
    if (naps.none_yet() && spin_until([&] { return !full(); })) {
      if (header.maxsize >= smallest_stream) slip.wait();
      continue;
    }
    const auto ticket = header.not_full.prepare();
    refresh_takes(ref_);
    if (full() && value(header.closed) == 0) header.not_full.wait(ticket, deadline, naps.next());
  }
}

TakeOutcome ByteQueue::take(Receiver& receiver, std::size_t most, Deadline deadline) const {
  return Take(ref_, receiver, most, deadline).run();
}

bool ByteQueue::leasing() const noexcept { return header_of(ref_).leasing != 0; }

bool ByteQueue::acknowledge() const {
  QueueHeader& header = header_of(ref_);
  bool found = false;
  std::uint32_t oldest = 0;
  {
    const ConsumersSide side(ref_, Deadline::never());
    const Consumer consumer(ref_);
    Leases leases(ref_, header);
    found = leases.acknowledge(this_holder());
    oldest = leases.oldest_number(consumer.number());
  }
  header.all_done.notify_after_release();
  if (memory::has_cargo(ref_)) memory::drop_cargo(ref_, oldest);
  return found;
}

bool ByteQueue::join(Deadline deadline) const {
  QueueHeader& header = header_of(ref_);
  const auto all_done = [&] {
    const std::vector<std::uint64_t> gone = gone_holders(ref_);
    bool left = false;
    bool done = false;
    std::size_t lost = 0;
    {
      const ConsumersSide side(ref_, Deadline::never());
      Consumer consumer(ref_);
      Leases leases(ref_, header);
      // Marks as lost what nobody will get again.
      static_cast<void>(leases.of_the_gone(among(gone)));
      Consumer::Record record;
      done = !consumer.look(record) && !leases.any_held();
      left = consumer.left_a_segment();
      if (done) lost = leases.forget_lost();
    }
    if (left) memory::finish_limbo();
    if (lost != 0) {
      throw Error("JoinableQueue::join: " + std::to_string(lost) +
                  " items were not done: the processes that took them died, and those that got them next died too");
    }
    return done;
  };
  for (sync::Naps naps;;) {
    const auto ticket = header.all_done.prepare();
    if (all_done()) return true;
    if (deadline.is_over()) return false;
    header.all_done.wait(ticket, deadline, naps.next());
  }
}

// Under the producers' lock: a put that was accepted is in the ring before `closed` is, so a consumer that sees
// `closed` and then nothing has seen all there ever was.
void ByteQueue::close() const {
  QueueHeader& header = header_of(ref_);
  {
    const Side side(header.producers, Deadline::never());
    header.closed.store(1, std::memory_order_release);
  }
  header.not_empty.notify();
  header.not_full.notify();
}

bool ByteQueue::closed() const noexcept { return value(header_of(ref_).closed) != 0; }

// Looks as a consumer does: the mirrors that size() reads may lag behind a death, and items that the dead have leased
// come again.  When the lock is not to be had somebody is taking items, or was stopped while doing so.
bool ByteQueue::ready() const {
  QueueHeader& header = header_of(ref_);
  if (closed()) return true;
  bool there = false;
  bool left = false;
  for (std::vector<std::uint64_t> gone;;) {
    {
      const ConsumersSide side(ref_, Deadline::passed());
      if (!side.held()) return size() != 0;
      Consumer consumer(ref_);
      Leases leases(ref_, header);
      Consumer::Record record;
      there = consumer.look(record) || (!gone.empty() && leases.of_the_gone(among(gone)) != nullptr);
      left = consumer.left_a_segment() || left;
    }
    if (there || header.leasing == 0 || !gone.empty()) break;
    gone = gone_holders(ref_);
    if (gone.empty()) break;
  }
  if (left) memory::finish_limbo();
  return there || closed();
}

std::size_t ByteQueue::size() const noexcept {
  const QueueHeader& header = header_of(ref_);
  const auto takes = static_cast<std::uint32_t>(value(header.takes));
  const auto count = static_cast<std::int32_t>(static_cast<std::uint32_t>(value(header.puts)) - takes);
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

std::size_t ByteQueue::maxsize() const noexcept { return header_of(ref_).maxsize; }

}  // namespace multiprocessing::channel
