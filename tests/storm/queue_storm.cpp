// Producers and consumers on one queue after the other: unbounded, small and large bounds; items from 8 bytes to
// beyond the first segment, some of them naming other queues.
//
// Every item carries its producer, its sequence number, and a payload that follows from both.  Each process writes
// down what it has done in memory of its own, outside of what is tested.  Invariants:
//   none lost      an item whose put() had returned is received, but for one at most per consumer killed: the one it
//                  had taken and not yet written down
//   none invented  what is received was at least begun to be put
//   none doubled, none damaged; a consumer sees the items of one producer in their order
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/queue.hpp"
#include "storm/crew.hpp"

namespace multiprocessing::storm {
namespace {

using namespace std::chrono_literals;

struct Item {
  std::uint64_t producer = 0;
  std::uint64_t sequence = 0;
  std::string payload;
  std::vector<Queue<std::uint64_t>> gift;  // empty, or one queue with `sequence` in it
};

constexpr std::size_t most_producers = 1'024;  // of a round: each new process is a new producer
constexpr std::size_t most_items = 1 << 16;    // of a producer
constexpr int producers = 3;
constexpr int consumers = 3;

struct Record {
  std::atomic<std::uint64_t> begun{0};     // items 1 … begun may have been put
  std::atomic<std::uint64_t> returned{0};  // items 1 … returned have been put
  std::array<std::atomic<std::uint64_t>, most_items / 64> received;
};

struct Ledger {
  std::atomic<std::uint64_t> producers_used{0};
  std::atomic<bool> enough{false};  // producers end, consumers drain
  std::array<Record, most_producers> records;
};

std::string payload_of(std::uint64_t producer, std::uint64_t sequence) {
  Random random(producer << 32 ^ sequence);
  const std::uint64_t kind = random.below(2'000);
  const std::size_t size = kind == 0 ? random.below(3 << 20) : kind < 40 ? random.below(100'000) : random.below(300);
  std::string payload(size, '\0');
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    const std::uint64_t word = random.next();
    payload.replace(i, 8, reinterpret_cast<const char*>(&word), 8);
  }
  for (; i < size; ++i) payload[i] = static_cast<char>(random.next());
  return payload;
}

Item make_item(std::uint64_t producer, std::uint64_t sequence) {
  Item item{producer, sequence, payload_of(producer, sequence), {}};
  if (sequence % 128 == 17) item.gift.emplace_back().put(sequence);
  return item;
}

void put_some(const Queue<Item>& queue, Record& record, std::uint64_t producer, Worker& me) {
  const std::uint64_t next = record.returned + 1;
  switch (me.random.below(4)) {
    case 0: {  // a batch
      std::vector<Item> items;
      const std::uint64_t count = 1 + me.random.below(20);
      for (std::uint64_t i = 0; i < count; ++i) items.push_back(make_item(producer, next + i));
      record.begun = next + count - 1;
      record.returned += queue.put_many(items, 5s);
      return;
    }
    case 1:
      record.begun = next;
      if (queue.try_put(make_item(producer, next))) record.returned = next;
      return;
    case 2:
      record.begun = next;
      try {
        queue.put(make_item(producer, next), std::chrono::microseconds(me.random.below(3'000)));
        record.returned = next;
      } catch (const Full&) {
      }
      return;
    default:
      record.begun = next;
      queue.put(make_item(producer, next), 5s);
      record.returned = next;
  }
}

void produce(const Queue<Item>& queue, Ledger& ledger, Worker& me) {
  std::uint64_t producer = most_producers;
  while (!me.over() && !ledger.enough) {
    if (producer == most_producers || ledger.records[producer].returned + 64 > most_items) {
      producer = ledger.producers_used.fetch_add(1);
      if (producer >= most_producers) return;
    }
    try {
      put_some(queue, ledger.records[producer], producer, me);
    } catch (const Full&) {
    }
    me.count();
    if (queue.qsize() > 5'000) std::this_thread::sleep_for(1ms);
  }
}

std::string name_of(const Item& item) {
  return "item " + std::to_string(item.sequence) + " of producer " + std::to_string(item.producer);
}

void receive(const Item& item, Ledger& ledger, std::map<std::uint64_t, std::uint64_t>& last, Worker& me) {
  if (item.producer >= most_producers || item.sequence == 0 || item.sequence > most_items) {
    return me.violation("no such item: " + name_of(item));
  }
  // Written down first: what happens from here on is no concern of the queue's.
  auto& word = ledger.records[item.producer].received[(item.sequence - 1) / 64];
  const std::uint64_t bit = std::uint64_t{1} << (item.sequence - 1) % 64;
  if ((word.fetch_or(bit) & bit) != 0) me.violation(name_of(item) + " came twice");
  if (item.payload != payload_of(item.producer, item.sequence)) me.violation(name_of(item) + " is damaged");
  if (last[item.producer] >= item.sequence) me.violation(name_of(item) + " came late");
  last[item.producer] = item.sequence;
  if (item.sequence > ledger.records[item.producer].begun) me.violation(name_of(item) + " was never put");
  for (const auto& gift : item.gift) {
    if (gift.try_get() != item.sequence) me.violation("the queue in " + name_of(item) + " is damaged");
  }
  me.count();
}

void consume(const Queue<Item>& queue, Ledger& ledger, Worker& me) {
  std::map<std::uint64_t, std::uint64_t> last;
  try {
    for (;;) {
      try {
        if (me.random.one_in(4)) {
          if (const auto item = queue.try_get()) receive(*item, ledger, last, me);
        } else if (me.random.one_in(4)) {
          receive(queue.get(std::chrono::microseconds(me.random.below(3'000))), ledger, last, me);
        } else {
          receive(queue.get(), ledger, last, me);
        }
      } catch (const Empty&) {
      }
    }
  } catch (const Closed&) {
  }
}

// Adds up what was lost, and reports what nobody may lose.
void settle(const Ledger& ledger, std::uint64_t consumers_killed, Report& report, std::uint64_t& lost_in_all) {
  std::uint64_t lost = 0;
  const std::uint64_t used = std::min<std::uint64_t>(ledger.producers_used, most_producers);
  for (std::uint64_t producer = 0; producer < used; ++producer) {
    const Record& record = ledger.records[producer];
    const std::uint64_t returned = record.returned;
    for (std::uint64_t sequence = 1; sequence <= returned; ++sequence) {
      lost += (record.received[(sequence - 1) / 64] >> (sequence - 1) % 64 & 1) == 0;
    }
  }
  lost_in_all += lost;
  if (lost > consumers_killed) {
    report.violation(std::to_string(lost) + " items lost, " + std::to_string(consumers_killed) + " consumers killed");
  }
}

// One queue, from its first item to its close.  False: the time is over.
bool round(const Settings& settings, Report& report, int maxsize, std::uint64_t& lost) {
  const testing::Shared<Ledger> ledger;
  const Queue<Item> queue(maxsize);
  std::uint64_t consumers_killed = 0;
  Settings rest = settings;
  rest.seed += report.kills;
  Crew crew(rest, report);
  for (int i = 0; i < producers; ++i) crew.hire([&](Worker& me) { produce(queue, *ledger, me); });
  for (int i = 0; i < consumers; ++i) crew.hire([&](Worker& me) { consume(queue, *ledger, me); });
  const auto died = [&](int position) { consumers_killed += position >= producers; };
  const bool more = crew.storm(300, died);
  ledger->enough = true;
  crew.finish(0, producers);
  queue.close();
  crew.dismiss();
  settle(*ledger, consumers_killed, report, lost);
  if (queue.qsize() != 0) report.violation("a drained queue says it holds " + std::to_string(queue.qsize()) + " items");
  return more;
}

}  // namespace

void queue_storm(const Settings& settings, Report& report) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::seconds(settings.seconds);
  std::uint64_t lost = 0;
  Settings rest = settings;
  for (bool more = true; more;) {
    for (const int maxsize : {0, 5, 1'000}) {
      rest.seconds = static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(end - Clock::now()).count());
      more = more && rest.seconds > 0 && round(rest, report, maxsize, lost);
    }
  }
  report.note = std::to_string(lost) + " items went with their consumers";
}

}  // namespace multiprocessing::storm
