// put and close: an item whose put() had returned is there; one whose put() died is there whole or not at all; the
// others stay as they were.
#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <tuple>

#include "memory/transaction.hpp"
#include "sweep/queue_scenario.hpp"

namespace multiprocessing::sweep {
namespace {

using namespace std::chrono_literals;

const Strings fresh = items(7, 7);
const Strings late = items(9, 9);

template <int maxsize, int already>
struct Put : QueueScenario {
  Put() : QueueScenario(maxsize, items(1, already)) {}
  void operation() override { queue.put(fresh[0]); }
  void survivors(const Death& death, Check& check) override {
    const Strings got = go_on(death, late[0]);
    const bool there = got == inside + fresh + late;
    check.effect(there);
    check.that(there || got == inside + late, "lost, doubled or damaged: " + std::to_string(got.size()) + " items");
    check.that(there || !death.returned, "an item whose put() had returned is lost");
    check.that(queue.qsize() == 0, "a drained queue is not empty");
    expect_memory_accounted(check);
  }
};

struct PutAfterDeath : Put<0, 2> {
  std::optional<Dead> owner;
  PutAfterDeath() {
    owner.emplace([this] {
      channel::QueueHeader& header = testing::header_of(queue);
      header.producers.acquire();
      channel::Segment& tail = testing::tail_segment(queue);
      const std::size_t position = channel::Cursor::of(tail.tail.load()).position;
      std::fill_n(reinterpret_cast<std::byte*>(&tail) + channel::ring_at + position * channel::unit, 64, std::byte{9});
    });
  }
};

// A full queue, and `takes` says less than was taken: its consumer died before it wrote that down.
struct PutWhereTakesLags : Put<3, 3> {
  PutWhereTakesLags() {
    channel::QueueHeader& header = testing::header_of(queue);
    std::ignore = queue.get();
    header.takes.store(0);
    inside.erase(inside.begin());
  }
};

struct PutIntoFull : QueueScenario {
  PutIntoFull() : QueueScenario(2, items(1, 2)) {}
  void operation() override { std::ignore = queue.try_put(fresh[0]); }
  void survivors(const Death& death, Check& check) override {
    check.that(!queue.try_put(late[0]), "a full queue took an item");
    check.that(go_on(death, late[0]) == inside + late, "lost, doubled or damaged");
  }
};

struct PutToSleepers : QueueScenario {
  std::array<testing::Shared<Receipt>, 2> receipts;
  std::array<std::optional<Helper>, 2> sleepers;
  PutToSleepers() {
    for (std::size_t i = 0; i < 2; ++i) sleepers[i].emplace([this, i] { receipts[i]->sign(queue.get()); });
    testing::wait_for_a_sleeper(testing::header_of(queue).not_empty);
  }
  void operation() override { queue.put(fresh[0]); }
  void survivors(const Death& death, Check& check) override {
    const bool there = channel::Cursor::of(testing::tail_segment(queue).tail.load()).number == 1;
    check.effect(there);
    check.that(there || !death.returned, "an item whose put() had returned is lost");
    // Where the item is there somebody wakes up without any further help.
    const auto signed_for = [this] { return receipts[0]->signed_for + receipts[1]->signed_for; };
    if (there) yield_until([&] { return signed_for() == 1; });
    queue.put(late[0]);
    if (!there) queue.put(fresh[0]);
    for (auto& sleeper : sleepers) check.that(sleeper->ends_well(), "a sleeper sleeps on");
    const bool straight = receipts[0]->is_for(fresh[0]) && receipts[1]->is_for(late[0]);
    const bool crossed = receipts[1]->is_for(fresh[0]) && receipts[0]->is_for(late[0]);
    check.that(straight || crossed, "lost, doubled or damaged");
  }
};

// The ring of 64 KiB has 8 units left; `fresh` needs more.
struct PutThatLinks : QueueScenario {
  PutThatLinks() : QueueScenario(0, {testing::patterned(1, (8'160 - 8 - 1) * 8)}) {}
  void operation() override { queue.put(fresh[0]); }
  void survivors(const Death& death, Check& check) override {
    const Strings got = go_on(death, late[0]);
    const bool there = got == inside + fresh + late;
    check.effect(there);
    check.that(there || got == inside + late, "lost, doubled or damaged: " + std::to_string(got.size()) + " items");
    check.that(there || !death.returned, "an item whose put() had returned is lost");
    expect_memory_accounted(check);
  }
};

// The one before died while it linked a segment, in the transaction that allocates it.
struct PutAfterDeathInLink : PutThatLinks {
  std::optional<Dead> owner;
  PutAfterDeathInLink() {
    owner.emplace([this] {
      channel::QueueHeader& header = testing::header_of(queue);
      header.producers.acquire();
      memory::Arena& arena = memory::Arena::get();
      const memory::Arena::Locked locked(arena);
      memory::Transaction change(arena.header());
      change.set(arena.header().heap_used, 77);
      change.set(header.spare, header.head_segment.load());  // anything but a segment of its own
      ::kill(::getpid(), SIGKILL);
    });
  }
};

struct PutMany : QueueScenario {
  Strings batch = items(3, 6);
  PutMany() : QueueScenario(0, items(1, 2)) {}
  void before() override { Queue<std::string>().put_many(batch); }  // see GetMany
  void operation() override { queue.put_many(batch); }
  void survivors(const Death& death, Check& check) override {
    const Strings got = go_on(death, late[0]);
    const bool there = got == inside + batch + late;
    check.effect(there);
    check.that(there || got == inside + late, "lost, doubled or damaged: " + std::to_string(got.size()) + " items");
    check.that(there || !death.returned, "items whose put_many() had returned are lost");
  }
};

// The item is another queue, which is then held by nothing but the message.
struct PutHandle : Scenario {
  Queue<Queue<std::string>> queue;
  Queue<std::string> passenger;
  PutHandle() { passenger.put(fresh[0]); }
  void operation() override { queue.put(passenger); }
  void survivors(const Death& death, Check& check) override {
    passenger = Queue<std::string>();
    queue.put(passenger);
    std::vector<Queue<std::string>> got;
    while (auto item = queue.try_get()) got.push_back(std::move(*item));
    check.effect(got.size() == 2);
    check.that(got.size() == 2 || (got.size() == 1 && !death.returned), "lost or doubled");
    check.that(got.size() != 2 || drained(got[0]) == fresh, "what is in the queue that was sent is damaged");
    check.that(!memory::has_cargo(testing::ref_of(queue)), "an empty queue keeps things alive");
  }
};

// Written in place.
struct PutLoan : Put<0, 2> {
  void operation() override {
    auto slot = queue.loan(fresh[0].size());
    std::ranges::copy(fresh[0], slot.begin());
    slot.publish();
  }
  void survivors(const Death& death, Check& check) override {
    Put::survivors(death, check);
    check.that(!memory::has_cargo(testing::ref_of(queue)), "an empty queue keeps things alive");
  }
};

struct CloseWithSleeper : QueueScenario {
  std::optional<Helper> sleeper;
  CloseWithSleeper() {
    sleeper.emplace([this] {
      for (const std::string& item : queue) std::ignore = item;
    });
    testing::wait_for_a_sleeper(testing::header_of(queue).not_empty);
  }
  void operation() override { queue.close(); }
  void survivors(const Death& death, Check& check) override {
    check.effect(queue.closed());
    check.that(queue.closed() || !death.returned, "a closed queue is open");
    if (!queue.closed()) queue.close();
    check.that(sleeper->ends_well(), "a sleeper sleeps on");
    check.that(drained(queue).empty(), "an item out of nowhere");
  }
};

constexpr std::array operations{
    Operation::of<Put<0, 0>>("put.empty"),
    Operation::of<Put<0, 3>>("put.middle"),
    Operation::of<Put<4, 3>>("put.last_place"),
    Operation::of<PutIntoFull>("put.full"),
    Operation::of<PutWhereTakesLags>("put.dead_consumer"),
    Operation::of<PutAfterDeath>("put.dead_owner"),
    Operation::of<PutAfterDeathInLink>("put.dead_linker"),
    Operation::of<PutToSleepers>("put.sleepers"),
    Operation::of<PutThatLinks>("put.link"),
    Operation::of<PutHandle>("put.handle"),
    Operation::of<PutLoan>("put.loan"),
    Operation::of<PutMany>("put_many.middle"),
    Operation::of<CloseWithSleeper>("close.sleeper"),
};

}  // namespace

std::span<const Operation> put_operations() { return operations; }

}  // namespace multiprocessing::sweep
