// A process is killed at every step of publishing and of viewing; the others go on, and all memory comes back.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "channel/queue_sweep.hpp"
#include "multiprocessing/queue.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::after_get;
using testing::after_put;
using testing::drained;
using testing::expect_items;
using testing::Kill;
using testing::patterned;
using testing::sweep;
using testing::Watchdog;

void publish(const Queue<std::string>& queue, const std::string& item) {
  auto slot = queue.loan(item.size());
  std::ranges::copy(item, slot.begin());
  slot.publish();
}

struct LoanScenario {
  Queue<std::string> queue;
  std::string item = patterned(1, 300'000);
  ~LoanScenario() { memory::forget_blocks(memory::Arena::get()); }
};

struct Publish : LoanScenario {
  Publish() {
    queue.put("before");
    static_cast<void>(queue.loan(5));  // a slab of the size that survivors() needs
  }
  void operation() { publish(queue, item); }
  void survivors(const Kill& kill) {
    publish(queue, "after");
    expect_items(drained(queue), {"before", "after"}, item, after_put(kill), 1);
  }
};
TEST(LoanCrashTest, AnItemWhosePublishDiedIsThereWholeOrNotAtAll) {
  Watchdog dog{120s};
  sweep<Publish>();
}

struct PublishAgain : LoanScenario {  // in memory that was lent before
  void operation() {
    publish(queue, patterned(2, item.size()));
    static_cast<void>(queue.view());
    publish(queue, item);
  }
  void survivors(const Kill&) {
    publish(queue, "after");
    const auto got = drained(queue);
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(got.back(), "after");
    EXPECT_LE(got.size(), 2U);
    EXPECT_TRUE(got.size() == 1 || got.front() == item || got.front() == patterned(2, item.size()));
  }
};
TEST(LoanCrashTest, MemoryLentAgainIsNeverInTwoItems) {
  Watchdog dog{120s};
  sweep<PublishAgain>();
}

struct ViewOne : LoanScenario {
  ViewOne() {
    publish(queue, item);
    publish(queue, "after");
  }
  void operation() {
    const auto view = queue.view();
    ASSERT_TRUE(std::ranges::equal(view, item));
  }
  void survivors(const Kill& kill) { expect_items(drained(queue), {"after"}, item, after_get(kill), 0); }
};
TEST(LoanCrashTest, AnItemWhoseViewDiedGoesToTheNextConsumerOrIsLetGo) {
  Watchdog dog{120s};
  sweep<ViewOne>();
}

}  // namespace
}  // namespace multiprocessing
