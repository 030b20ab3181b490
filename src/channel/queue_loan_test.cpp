// Items written in place and read in place: what they are to others, whose memory they are, and how they end.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "channel/queue_test_support.hpp"
#include "memory/arena.hpp"
#include "memory/family.hpp"
#include "multiprocessing/loan.hpp"
#include "multiprocessing/queue.hpp"
#include "os/os.hpp"
#include "support/crash.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::patterned;
using testing::Watchdog;
using Numbers = std::vector<int>;

Numbers counted(std::size_t count, int first = 0) {
  Numbers numbers(count);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

void publish(const Queue<Numbers>& queue, const Numbers& numbers) {
  auto slot = queue.loan(numbers.size());
  std::ranges::copy(numbers, slot.begin());
  slot.publish();
}

Numbers copy_of(const View<int>& view) { return {view.begin(), view.end()}; }

// Nothing may be kept from one test to the next.
class LoanTest : public ::testing::Test {
 protected:
  LoanTest() { memory::forget_blocks(memory::Arena::get()); }
  ~LoanTest() override { memory::forget_blocks(memory::Arena::get()); }
  Watchdog dog_{60s};
};

TEST_F(LoanTest, WhatWasPublishedIsViewedInPlace) {
  const Queue<Numbers> queue;
  auto slot = queue.loan(1000);
  ASSERT_EQ(slot.size(), 1000U);
  std::iota(slot.begin(), slot.end(), 7);
  const int* const written = slot.data();
  slot.publish();
  EXPECT_EQ(queue.qsize(), 1U);
  const auto view = queue.view();
  EXPECT_EQ(view.data(), written);
  EXPECT_EQ(copy_of(view), counted(1000, 7));
  EXPECT_EQ(view[999], 1006);
  EXPECT_EQ(std::span<const int>(view).size(), 1000U);
}

TEST_F(LoanTest, AnotherProcessViewsItAtTheSameAddress) {
  const Queue<Numbers> queue;
  const Queue<std::pair<std::uintptr_t, long>> answers;
  Child consumer{
      Child::member, [&] {
        const auto view = queue.view();
        answers.put({reinterpret_cast<std::uintptr_t>(view.data()), std::accumulate(view.begin(), view.end(), 0L)});
      }};
  auto slot = queue.loan(100'000);
  std::fill(slot.begin(), slot.end(), 3);
  const auto address = reinterpret_cast<std::uintptr_t>(slot.data());
  slot.publish();
  EXPECT_EQ(answers.get(), (std::pair{address, 300'000L}));
  EXPECT_EQ(consumer.wait(), 0);
}

TEST_F(LoanTest, GetGetsItToo) {
  const Queue<Numbers> queue;
  publish(queue, counted(5000));
  EXPECT_EQ(queue.get(), counted(5000));
}

TEST_F(LoanTest, ViewSeesWhatPutPutToo) {
  const Queue<Numbers> queue;
  queue.put(counted(5000));
  queue.put({});
  EXPECT_EQ(copy_of(queue.view()), counted(5000));
  EXPECT_TRUE(queue.view().empty());
}

TEST_F(LoanTest, GetManyGetsLoanedEmptyAndPutItemsInTheirOrder) {
  const Queue<Numbers> queue;
  queue.put({});
  publish(queue, counted(10));
  queue.put(counted(3));
  publish(queue, {});
  publish(queue, counted(20'000));
  queue.put({});
  EXPECT_EQ(queue.get_many(100), (std::vector<Numbers>{{}, counted(10), counted(3), {}, counted(20'000), {}}));
}

TEST_F(LoanTest, AStringIsLoanedAsItsCharacters) {
  const Queue<std::string> queue;
  auto slot = queue.loan(5);
  static_assert(std::is_same_v<decltype(slot), Loan<char>>);
  std::ranges::copy(std::string("hello"), slot.begin());
  slot.publish();
  EXPECT_EQ(queue.get(), "hello");
}

TEST_F(LoanTest, TruncateKeepsTheFirstElements) {
  const Queue<Numbers> queue;
  auto slot = queue.loan(1000);
  std::iota(slot.begin(), slot.end(), 0);
  EXPECT_THROW(slot.truncate(1001), std::invalid_argument);
  slot.truncate(10);
  EXPECT_EQ(slot.size(), 10U);
  slot.publish();
  EXPECT_EQ(copy_of(queue.view()), counted(10));
}

TEST_F(LoanTest, NothingCanBeDoneWithAPublishedOne) {
  const Queue<Numbers> queue;
  auto slot = queue.loan(1);
  slot[0] = 1;
  slot.publish();
  EXPECT_EQ(slot.data(), nullptr);
  EXPECT_EQ(slot.size(), 0U);
  EXPECT_THROW(slot.publish(), std::logic_error);
  EXPECT_THROW(slot.truncate(1), std::invalid_argument);
  EXPECT_EQ(queue.qsize(), 1U);
}

TEST_F(LoanTest, OneThatFoundNoRoomIsPublishedLater) {
  const Queue<Numbers> queue(1);
  queue.put({1});
  auto slot = queue.loan(2);
  std::iota(slot.begin(), slot.end(), 5);
  EXPECT_FALSE(slot.try_publish());
  EXPECT_THROW(slot.publish_nowait(), Full);
  EXPECT_THROW(slot.publish(1ms), Full);
  EXPECT_EQ(queue.get(), Numbers{1});
  EXPECT_TRUE(slot.try_publish());
  EXPECT_EQ(queue.get(), (Numbers{5, 6}));
}

TEST_F(LoanTest, PublishWaitsForRoom) {
  const Queue<Numbers> queue(1);
  queue.put({1});
  auto published = std::async(std::launch::async, [queue] { publish(queue, {2}); });
  testing::wait_for_a_sleeper(testing::header_of(queue).not_full);
  EXPECT_EQ(queue.get(), Numbers{1});
  published.get();
  EXPECT_EQ(queue.get(), Numbers{2});
}

TEST_F(LoanTest, PublishAfterCloseThrowsClosed) {
  const Queue<Numbers> queue;
  auto slot = queue.loan(1);
  queue.close();
  EXPECT_THROW(slot.publish(), Closed);
  EXPECT_THROW((void)queue.view(), Closed);
}

TEST_F(LoanTest, ViewOfAnEmptyQueueWaitsAsLongAsItIsTold) {
  const Queue<Numbers> queue;
  EXPECT_FALSE(queue.try_view().has_value());
  EXPECT_THROW((void)queue.view(1ms), Empty);
  auto viewed = std::async(std::launch::async, [queue] { return copy_of(queue.view()); });
  testing::wait_for_a_sleeper(testing::header_of(queue).not_empty);
  publish(queue, {4});
  EXPECT_EQ(viewed.get(), Numbers{4});
}

TEST_F(LoanTest, MemoryThatNobodyHasAnyMoreIsLentAgain) {
  const Queue<Numbers> queue;
  auto slot = queue.loan(300'000);
  const int* const first = slot.data();
  slot.publish();
  auto view = queue.view();
  {
    const auto second = queue.loan(300'000);
    EXPECT_NE(second.data(), first) << "it is being looked at";
  }
  { const View<int> done = std::move(view); }
  auto third = queue.loan(300'000);
  auto fourth = queue.loan(300'000);
  EXPECT_TRUE(third.data() == first || fourth.data() == first);
}

TEST_F(LoanTest, MemoryThatIsOnItsWayIsNotLentAgain) {
  const Queue<Numbers> queue;
  for (int i = 0; i < 10; ++i) publish(queue, counted(10'000, i));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(copy_of(queue.view()), counted(10'000, i));
}

TEST_F(LoanTest, MemoryThatAnotherProcessLooksAtIsNotLentAgain) {
  const Queue<Numbers> queue;
  const Queue<int> steps;
  Child viewer{Child::member, [&] {
                 const auto view = queue.view();
                 steps.put(1);
                 ::_exit(queue.get() == Numbers{} && copy_of(view) == counted(10'000) ? 0 : 1);
               }};
  publish(queue, counted(10'000));
  EXPECT_EQ(steps.get(), 1);
  for (int i = 1; i < 10; ++i) {
    const auto slot = queue.loan(10'000);
    std::ranges::fill(slot, -1);
  }
  queue.put({});
  EXPECT_EQ(viewer.wait(), 0);
}

TEST_F(LoanTest, OneThatWasNotPublishedIsLentAgain) {
  const Queue<Numbers> queue;
  const int* first = nullptr;
  {
    const auto slot = queue.loan(1000);
    first = slot.data();
  }
  EXPECT_EQ(queue.qsize(), 0U);
  EXPECT_EQ(queue.loan(1000).data(), first);
}

TEST_F(LoanTest, AProcessKeepsABoundedPartOfIt) {
  const std::size_t bound = std::clamp<std::size_t>(os::physical_memory() / 16, 64U << 20, 1U << 30);
  const Queue<std::string> queue;
  queue.loan(1).publish();  // makes slab pages, which stay
  static_cast<void>(queue.try_view());
  memory::forget_blocks(memory::Arena::get());
  const memory::Stats before = memory::stats();
  const std::size_t bytes = bound / 2 - (1U << 20);
  for (int i = 0; i < 4; ++i) queue.loan(bytes).publish();
  while (queue.try_view()) {
  }
  EXPECT_EQ(memory::stats().objects, before.objects + 2);
  queue.loan(bytes / 8).publish();
  static_cast<void>(queue.try_view());
  EXPECT_EQ(memory::stats().objects, before.objects + 2) << "the older make room for one of another size";
}

TEST_F(LoanTest, AProcessGivesBackWhatItKeepsWhenItLetsGoOfAQueue) {
  const Queue<std::string> other;
  const memory::Stats before = memory::stats();
  {
    const Queue<std::string> queue;
    queue.loan(1'000'000).publish();
    static_cast<void>(queue.try_view());
    EXPECT_EQ(memory::stats().objects, before.objects + 2);
  }
  EXPECT_EQ(memory::stats().objects, before.objects);
}

TEST_F(LoanTest, AForkGivesBackWhatIsKept) {
  const Queue<Numbers> queue;
  const memory::Stats before = memory::stats();
  publish(queue, counted(1'000'000));
  static_cast<void>(queue.try_view());
  EXPECT_GT(memory::stats().objects, before.objects);
  Child child{Child::member, [] {}};
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(memory::stats().objects, before.objects);
}

TEST_F(LoanTest, WhatIsInTheQueueStaysWhenItsProducerIsGone) {
  const Queue<Numbers> queue;
  Child producer{Child::member, [&] { publish(queue, counted(100'000)); }};
  EXPECT_EQ(producer.wait(), 0);
  EXPECT_EQ(copy_of(queue.view()), counted(100'000));
}

TEST_F(LoanTest, AViewOutlivesItsQueue) {
  auto queue = std::make_optional<Queue<Numbers>>();
  publish(*queue, counted(1000));
  const auto view = queue->view();
  queue.reset();
  EXPECT_EQ(copy_of(view), counted(1000));
}

TEST_F(LoanTest, AnItemNotAcknowledgedIsDeliveredAgain) {
  const Queue<Numbers> queue(0, Delivery::at_least_once);
  publish(queue, counted(50'000));
  Child taker{Child::member, [&] {
                const auto view = queue.view();
                ::raise(SIGKILL);
              }};
  EXPECT_EQ(taker.wait(), -SIGKILL);
  EXPECT_EQ(copy_of(queue.view()), counted(50'000));
  queue.task_done();
}

TEST_F(LoanTest, LoansOfTwoThreadsDoNotMix) {
  const Queue<std::string> queue(4);
  const auto produce = [&queue](std::uint64_t seed) {
    for (std::uint64_t i = 0; i < 200; ++i) {
      const std::string item = patterned(seed * 1000 + i, 20'000);
      auto slot = queue.loan(item.size());
      std::ranges::copy(item, slot.begin());
      slot.publish();
    }
  };
  auto first = std::async(std::launch::async, produce, 1);
  auto second = std::async(std::launch::async, produce, 2);
  std::uint64_t next[] = {0, 0};
  for (int i = 0; i < 400; ++i) {
    const auto view = queue.view();
    const std::string got(view.begin(), view.end());
    const std::size_t from = got == patterned(1000 + next[0], 20'000) ? 0 : 1;
    EXPECT_TRUE(got == patterned((from + 1) * 1000 + next[from], 20'000)) << "item " << i;
    ++next[from];
  }
  first.get();
  second.get();
}

}  // namespace
}  // namespace multiprocessing
