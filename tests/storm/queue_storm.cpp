// Producers and takers on one queue: unbounded, small and large bounds; items and frames (items.hpp) from 16 bytes to
// beyond 16 MiB; one by one, in batches, lent and viewed; delivered at most once, at least once, or joined.
//
// Invariants: those of the ledger.  A queue that delivers at least once loses nothing; a JoinableQueue only what its
// join() has reported, and join() ends.
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "storm/items.hpp"
#include "storm/part.hpp"

namespace multiprocessing::storm {
namespace {

using namespace std::chrono_literals;

template <class T>
T make(const Name& name) {
  if constexpr (std::is_same_v<T, Item>) {
    return make_item(name);
  } else {
    return make_frame(name);
  }
}

std::chrono::microseconds short_time(Worker& me) { return std::chrono::microseconds(me.random.below(3'000)); }

// --- producers ------------------------------------------------------------------------------------------------------

template <class T>
void put_batch(const Queue<T>& queue, Putter& putter, Worker& me) {
  const std::uint64_t count = 1 + me.random.below(20);
  Name name = putter.begin(count);
  std::vector<T> items;
  for (std::uint64_t i = 0; i < count; ++i, ++name.sequence) items.push_back(make<T>(name));
  putter.returned(queue.put_many(items, 5s));
}

template <class T>
void put_one(const Queue<T>& queue, Putter& putter, Worker& me) {
  const T item = make<T>(putter.begin());
  switch (me.random.below(3)) {
    case 0:
      if (!queue.try_put(item)) return;
      break;
    case 1:
      queue.put(item, short_time(me));
      break;
    default:
      queue.put(item, 5s);
  }
  putter.returned();
}

void lend(const Queue<Frame>& queue, Putter& putter, Worker& me) {
  const Name name = putter.begin();
  auto loan = queue.loan(frame_size(name) + me.random.below(100));
  loan.truncate(frame_size(name));
  write_frame({loan.data(), loan.size()}, name);
  if (me.random.one_in(8)) return;  // it is given up
  loan.publish(short_time(me));
  putter.returned();
}

template <class T>
void produce(const Queue<T>& queue, Ledger& ledger, Worker& me) {
  Putter putter(ledger);
  while (!me.over() && putter.has_room(64)) {
    try {
      if (me.random.one_in(4)) {
        put_batch(queue, putter, me);
      } else if (std::is_same_v<T, Frame> && me.random.one_in(2)) {
        if constexpr (std::is_same_v<T, Frame>) lend(queue, putter, me);
      } else {
        put_one(queue, putter, me);
      }
    } catch (const Full&) {
    }
    me.count();
    if (queue.qsize() > 5'000) std::this_thread::sleep_for(1ms);
  }
}

// --- takers ---------------------------------------------------------------------------------------------------------

void take_view(const Queue<Frame>& queue, Taker& taker, Worker& me) {
  if (me.random.one_in(2)) {
    const auto view = queue.view(short_time(me));
    if (me.random.one_in(8)) std::this_thread::yield();
    return taker.took(look_at(std::span<const char>(view)));
  }
  const auto view = queue.view();
  taker.took(look_at(std::span<const char>(view)));
}

template <class T>
void take_one(const Queue<T>& queue, Taker& taker, Worker& me) {
  if (me.random.one_in(4)) {
    const auto item = queue.try_get();
    if (!item) throw Empty("");
    taker.took(look_at(*item));
  } else if (me.random.one_in(4)) {
    taker.took(look_at(queue.get(short_time(me))));
  } else {
    taker.took(look_at(queue.get()));
  }
}

template <class T>
void consume(const Queue<T>& queue, Ledger& ledger, bool acknowledges, Worker& me) {
  Taker taker(ledger, me, acknowledges ? Repeats::after_deaths : Repeats::never);
  try {
    for (;;) {
      try {
        if constexpr (std::is_same_v<T, Frame>) {
          if (me.random.one_in(2)) {
            take_view(queue, taker, me);
          } else {
            take_one(queue, taker, me);
          }
        } else {
          take_one(queue, taker, me);
        }
        if (acknowledges) queue.task_done();
      } catch (const Empty&) {
      }
    }
  } catch (const Closed&) {
  }
}

// --- the part -------------------------------------------------------------------------------------------------------

template <class AnyQueue, class T>
class QueuePart final : public Part {
 public:
  QueuePart(AnyQueue queue, Keeping keeping, int hands) : queue_(std::move(queue)), keeping_(keeping), hands_(hands) {}

  void hire(Crew& crew) override {
    for (int i = 0; i < hands_; ++i) {
      crew.hire([this](Worker& me) { produce<T>(queue_, *ledger_, me); });
    }
    for (int i = 0; i < hands_; ++i) {
      end_ = 1 +
             crew.hire([this](Worker& me) { consume<T>(queue_, *ledger_, keeping_ != Keeping::once, me); }, Until::end);
    }
  }

  void died(int position) override { takers_killed_ += position >= end_ - hands_ && position < end_ ? 1 : 0; }

  void look(Report& report) override { static_cast<void>(join(1ms, report)); }

  void close(Report& report) override {
    if (!join(40s, report)) report.violation("join() does not end");
    queue_.close();
  }

  void settle(Report& report) override {
    Losses losses{takers_killed_, "went with their takers"};
    if (keeping_ == Keeping::again) losses = {0, "lost"};
    if (keeping_ == Keeping::joinable) losses = {given_up_, "given up by join()"};
    storm::settle(*ledger_, losses, takers_killed_, report);
    if (given_up_ * 2 > takers_killed_) report.violation("join() gave up more than died");
    if (queue_.qsize() != 0) {
      report.violation("a drained queue says it holds " + std::to_string(queue_.qsize()) + " items");
    }
  }

 private:
  // join() says in words only how many it gave up.
  bool join(std::chrono::milliseconds patience, Report& report) {
    if constexpr (std::is_same_v<AnyQueue, JoinableQueue<T>>) {
      try {
        return queue_.join(patience);
      } catch (const Error& error) {
        const std::string text = error.what();
        const std::uint64_t count = std::strtoull(text.c_str() + text.find(": ") + 2, nullptr, 10);
        if (count == 0) report.violation("join(): " + text);
        given_up_ += count;
      }
    }
    return true;
  }

  const AnyQueue queue_;
  const Keeping keeping_;
  const int hands_;
  const testing::Shared<Ledger> ledger_;
  int end_ = 0;  // of the takers' positions
  std::uint64_t takers_killed_ = 0;
  std::uint64_t given_up_ = 0;
};

template <class T>
std::unique_ptr<Part> make_part(const QueuePlan& plan, int hands) {
  if (plan.keeping == Keeping::joinable) {
    return std::make_unique<QueuePart<JoinableQueue<T>, T>>(JoinableQueue<T>(plan.maxsize), plan.keeping, hands);
  }
  const Delivery delivery = plan.keeping == Keeping::once ? Delivery::at_most_once : Delivery::at_least_once;
  return std::make_unique<QueuePart<Queue<T>, T>>(Queue<T>(plan.maxsize, delivery), plan.keeping, hands);
}

}  // namespace

std::unique_ptr<Part> queue_part(const QueuePlan& plan, int hands) {
  return plan.content == Content::items ? make_part<Item>(plan, hands) : make_part<Frame>(plan, hands);
}

}  // namespace multiprocessing::storm
