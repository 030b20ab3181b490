// get: an item goes with the dead one only when its get() had taken it; otherwise it is the next consumer's.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "multiprocessing/detail/byte_queue.hpp"
#include "multiprocessing/detail/message_buffer.hpp"
#include "sweep/queue_scenario.hpp"

namespace multiprocessing::sweep {
namespace {

using namespace std::chrono_literals;

const Strings late = items(9, 9);

template <int maxsize, int already>
struct Get : QueueScenario {
  testing::Shared<Receipt> receipt;
  Get() : QueueScenario(maxsize, items(1, already)) {}
  void operation() override { receipt->sign(queue.get()); }
  void survivors(const Death& death, Check& check) override {
    const Strings got = go_on(death, late[0]);
    const Strings rest(inside.begin() + 1, inside.end());
    const bool taken = got == rest + late;
    check.effect(taken);
    check.that(taken || got == inside + late, "lost, doubled or damaged: " + std::to_string(got.size()) + " items");
    check.that(taken || !receipt->signed_for, "an item came twice");
    check.that(receipt->is_for(inside[0]) || !death.returned, "the child got another item");
    check.that(queue.qsize() == 0, "a drained queue is not empty");
  }
};

struct GetAfterDeath : Get<0, 2> {
  std::optional<Dead> owner{[this] { testing::header_of(queue).consumers.acquire(); }};
};

struct GetFromEmpty : QueueScenario {
  void operation() override { std::ignore = queue.try_get(); }
  void survivors(const Death& death, Check& check) override {
    check.that(go_on(death, late[0]) == late, "lost, doubled or damaged");
  }
};

// Sleeps until its deadline.  Below Queue<T>, whose exception would be 20,000 instructions.
struct GetInVain : GetFromEmpty {
  channel::ByteQueue bytes{testing::ref_of(queue)};
  channel::MessageBuffer buffer;
  void before() override { buffer.expect(1); }
  void operation() override { std::ignore = bytes.take(buffer, 1, detail::Deadline::after(2ms)); }
};

// A producer sleeps because the queue is full.
struct GetFromFull : Get<2, 2> {
  std::optional<Helper> sleeper;
  GetFromFull() {
    sleeper.emplace([this] { queue.put(late[0]); });
    testing::wait_for_a_sleeper(testing::header_of(queue).not_full);
  }
  void survivors(const Death& death, Check& check) override {
    const channel::Segment& segment = testing::head_segment(queue);
    const bool taken = channel::Cursor::of(segment.head.load()).number == 1;
    check.effect(taken);
    Strings got;
    // Where there is room the producer finds it without any further help.
    if (!taken) got.push_back(queue.get());
    check.that(sleeper->ends_well(), "a producer sleeps on");
    got = got + drained(queue);
    const Strings rest(inside.begin() + 1, inside.end());
    check.that(got == (taken ? rest : inside) + late, "lost, doubled or damaged: " + std::to_string(got.size()));
    check.that(taken || !receipt->signed_for, "an item came twice");
    check.that(receipt->is_for(inside[0]) || !death.returned, "the child got another item");
  }
};

// The first item after a link: the consumer leaves the segment before, and frees it.
struct GetThatLeaves : Get<0, 0> {
  GetThatLeaves() {
    queue.put(testing::patterned(1, (8'160 - 8 - 1) * 8));
    queue.put(items(5, 5)[0]);
    std::ignore = queue.get();
    inside = items(5, 5);
  }
  void survivors(const Death& death, Check& check) override {
    Get::survivors(death, check);
    memory::finish_limbo();
    expect_memory_accounted(check);
    check.that(testing::chain_length(queue) == 1, "the segment before is still there");
  }
};

// What Queue<T> hides: a message has been copied out, and its handles are held, before it is taken.  Otherwise another
// producer could write over the first, and another consumer let go of the others, while this one is still at it.
class SharedReceiver final : public channel::Receiver {
 public:
  [[nodiscard]] std::size_t room() const noexcept override { return sizeof receipt_->text; }
  void reserve(std::size_t /*bytes*/) override {}
  void accept(std::span<const std::byte> bytes) noexcept override {
    std::memcpy(receipt_->text, bytes.data(), bytes.size());
    receipt_->bytes = bytes.size();
    receipt_->signed_for = true;
  }
  void accept_handles(std::vector<memory::Ref> handles) noexcept override {
    for (memory::Ref& handle : handles) handles_.push_back(std::move(handle));
    *held_ = handles_.size();
  }
  void accept_block(memory::Ref block, std::size_t bytes) noexcept override {
    accept_handles({block});
    accept({static_cast<const std::byte*>(block.address()), bytes});
  }
  [[nodiscard]] const Receipt& receipt() const { return *receipt_; }
  [[nodiscard]] std::size_t held() const { return *held_; }

 private:
  testing::Shared<Receipt> receipt_;
  testing::Shared<std::atomic<std::size_t>> held_;
  std::vector<memory::Ref> handles_;
};

struct GetWithHandle : Scenario {
  Queue<std::string> queue;
  channel::ByteQueue bytes{testing::ref_of(queue)};
  std::string inside = items(3, 3)[0];
  SharedReceiver receiver;
  GetWithHandle() {
    const memory::Ref handle = memory::Ref::create(memory::Kind::block, 100);
    const channel::Message message{std::as_bytes(std::span(inside)), {&handle, 1}};
    bytes.put({&message, 1}, detail::Deadline::never());
  }
  void operation() override { std::ignore = bytes.take(receiver, 1, detail::Deadline::never()); }
  void survivors(const Death& death, Check& check) override {
    const bool taken = channel::Cursor::of(testing::head_segment(queue).head.load()).number == 1;
    check.effect(taken);
    check.that(taken || !death.returned, "the message is still there");
    check.that(!taken || receiver.receipt().is_for(inside), "a message was taken that had not been copied");
    check.that(!taken || receiver.held() == 1, "a message was taken whose handle was not held");
    if (!taken) operation();
    check.that(receiver.receipt().is_for(inside), "lost, doubled or damaged");
  }
};

struct GetMany : QueueScenario {
  testing::Shared<Receipt> receipt;
  GetMany() : QueueScenario(0, items(1, 4)) {}
  // So that malloc() finds the way it always goes: its heap is the parent's, with all that this did before.
  void before() override {
    const Queue<std::string> other;
    other.put("");
    std::ignore = other.get_many(3);
  }
  void operation() override { receipt->sign(queue.get_many(3).back()); }
  void survivors(const Death& death, Check& check) override {
    const Strings got = go_on(death, late[0]);
    const bool taken = got == items(4, 4) + late;
    check.effect(taken);
    check.that(taken || got == inside + late, "lost, doubled or damaged: " + std::to_string(got.size()) + " items");
    check.that(receipt->is_for(inside[2]) || !death.returned, "the child got other items");
    check.that(taken || !receipt->signed_for, "items came twice");
  }
};

// The item is a queue that nothing but the message holds.
struct GetHandle : Scenario {
  Queue<Queue<std::string>> queue;
  testing::Shared<Receipt> receipt;
  GetHandle() {
    for (const int number : {1, 2}) {
      const Queue<std::string> passenger;
      passenger.put(items(number, number)[0]);
      queue.put(passenger);
    }
  }
  void operation() override { receipt->sign(queue.get().get()); }
  void survivors(const Death& death, Check& check) override {
    std::vector<Queue<std::string>> got;
    while (auto item = queue.try_get()) got.push_back(std::move(*item));
    const bool taken = got.size() == 1;
    check.effect(taken);
    check.that(taken || got.size() == 2, "lost or doubled");
    check.that(taken || !receipt->signed_for, "an item came twice");
    check.that(receipt->is_for(items(1, 1)[0]) || !death.returned, "the child got another item");
    int number = taken ? 2 : 1;
    for (const auto& passenger : got) {
      check.that(drained(passenger) == items(number, number), "what is in the queue that was sent is damaged");
      ++number;
    }
    check.that(!memory::has_cargo(testing::ref_of(queue)), "an empty queue keeps things alive");
  }
};

// Read in place, where its producer wrote it.
struct GetView : Get<0, 0> {
  GetView() {
    inside = items(1, 3);
    for (const std::string& item : inside) {
      auto slot = queue.loan(item.size());
      std::ranges::copy(item, slot.begin());
      slot.publish();
    }
  }
  void operation() override {
    const auto view = queue.view();
    receipt->sign({view.begin(), view.end()});
  }
  void survivors(const Death& death, Check& check) override {
    Get::survivors(death, check);
    check.that(!memory::has_cargo(testing::ref_of(queue)), "an empty queue keeps things alive");
  }
};

constexpr std::array operations{
    Operation::of<GetFromEmpty>("get.empty"),
    Operation::of<GetInVain>("get.in_vain"),
    Operation::of<Get<0, 1>>("get.last"),
    Operation::of<Get<0, 4>>("get.middle"),
    Operation::of<GetFromFull>("get.full"),
    Operation::of<GetAfterDeath>("get.dead_owner"),
    Operation::of<GetThatLeaves>("get.leave"),
    Operation::of<GetHandle>("get.handle"),
    Operation::of<GetWithHandle>("get.copied"),
    Operation::of<GetView>("get.view"),
    Operation::of<GetMany>("get_many.middle"),
};

}  // namespace

std::span<const Operation> get_operations() { return operations; }

}  // namespace multiprocessing::sweep
