// Queues between threads: the tests that run under ThreadSanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "channel/queue_test_support.hpp"
#include "multiprocessing/queue.hpp"
#include "support/arena_check.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::arena_damage;
using testing::patterned;
using testing::Watchdog;

struct Parcel {
  int producer = 0;
  int number = 0;
  std::string content;
};

struct Plan {
  int producers = 1;
  int consumers = 1;
  int items = 1'000;  // of each producer
  std::size_t largest = 64;
  bool batches = false;
};

std::string content_of(const Plan& plan, int producer, int number) {
  const auto seed = static_cast<std::uint64_t>(producer * plan.items + number);
  return patterned(seed, seed * 7919 % (plan.largest + 1));
}

void produce(const Plan& plan, int producer, const Queue<Parcel>& queue) {
  std::vector<Parcel> batch;
  for (int n = 0; n < plan.items; ++n) {
    Parcel parcel{producer, n, content_of(plan, producer, n)};
    if (!plan.batches) {
      queue.put(parcel);
      continue;
    }
    batch.push_back(std::move(parcel));
    if (batch.size() == static_cast<std::size_t>(n % 40) || n + 1 == plan.items) {
      queue.put_many(batch);
      batch.clear();
    }
  }
}

// Takes until the end; the number of items, or -1 when one was wrong.
long consume(const Plan& plan, const Queue<Parcel>& queue) {
  long taken = 0;
  std::map<int, int> next;  // of each producer: at least this
  const auto check = [&](const Parcel& parcel) {
    if (parcel.number < next[parcel.producer] || parcel.content != content_of(plan, parcel.producer, parcel.number)) {
      return false;
    }
    next[parcel.producer] = parcel.number + 1;
    ++taken;
    return true;
  };
  if (!plan.batches) {
    for (const Parcel& parcel : queue) {
      if (!check(parcel)) return -1;
    }
    return taken;
  }
  try {
    for (;;) {
      for (const Parcel& parcel : queue.get_many(30)) {
        if (!check(parcel)) return -1;
      }
    }
  } catch (const Closed&) {
    return taken;
  }
}

void exchange(const Plan& plan, const Queue<Parcel>& queue) {
  std::atomic<long> taken{0};
  std::atomic<int> wrong{0};
  std::vector<std::thread> producers;
  std::vector<std::thread> consumers;
  for (int c = 0; c < plan.consumers; ++c) {
    consumers.emplace_back([&] {
      const long count = consume(plan, queue);
      count < 0 ? wrong += 1 : taken += count;
    });
  }
  for (int p = 0; p < plan.producers; ++p) producers.emplace_back([&, p] { produce(plan, p, queue); });
  for (std::thread& thread : producers) thread.join();
  queue.close();
  for (std::thread& thread : consumers) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(taken, static_cast<long>(plan.producers) * plan.items);
}

TEST(QueueThreadTest, SmallItemsBetweenManyThreads) {
  Watchdog dog{200s};
  exchange({.producers = 1, .consumers = 1, .items = 20'000}, Queue<Parcel>());
  exchange({.producers = 4, .consumers = 4, .items = 5'000}, Queue<Parcel>());
}

TEST(QueueThreadTest, ItemsThatChangeSegmentsAllTheTime) {
  Watchdog dog{200s};
  exchange({.producers = 3, .consumers = 3, .items = 400, .largest = 100'000}, Queue<Parcel>());
}

TEST(QueueThreadTest, BatchesBetweenManyThreads) {
  Watchdog dog{200s};
  exchange({.producers = 3, .consumers = 3, .items = 3'000, .largest = 2'000, .batches = true}, Queue<Parcel>());
}

TEST(QueueThreadTest, ABoundedQueueBetweenManyThreads) {
  Watchdog dog{200s};
  exchange({.producers = 1, .consumers = 1, .items = 2'000}, Queue<Parcel>(1));
  exchange({.producers = 3, .consumers = 3, .items = 1'000, .largest = 500}, Queue<Parcel>(7));
  exchange({.producers = 3, .consumers = 3, .items = 1'000, .largest = 500, .batches = true}, Queue<Parcel>(7));
}

// Two queues and one item going round: each thread waits for the other every time.
TEST(QueueThreadTest, PingPong) {
  Watchdog dog{200s};
  const Queue<int> there;
  const Queue<int> back;
  constexpr int rounds = 3'000;
  std::thread other([&] {
    for (int i = 0; i < rounds; ++i) back.put(there.get() + 1);
  });
  for (int i = 0; i < rounds; ++i) {
    there.put(2 * i);
    ASSERT_EQ(back.get(), 2 * i + 1);
  }
  other.join();
}

// Many short lives: what was put before close() is taken, exactly that.
TEST(QueueThreadTest, CloseCutsCleanly) {
  Watchdog dog{200s};
  for (int round = 0; round < 200; ++round) {
    const Queue<int> queue(round % 2 == 0 ? 0 : 3);
    std::atomic<int> put{0};
    std::atomic<int> got{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] {
        try {
          for (int n = 0; n < 10'000; ++n) {  // consumers may get no processor for a while
            queue.put(1);
            ++put;
          }
        } catch (const Closed&) {
        }
      });
      threads.emplace_back([&] {
        for (const int item : queue) got += item;
      });
    }
    while (got < 20) std::this_thread::yield();
    queue.close();
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(put, got);
  }
}

TEST(QueueThreadTest, TimeoutsAndItemsThatCrossLoseNothing) {
  Watchdog dog{200s};
  const Queue<int> queue(1);
  constexpr int items = 2'000;
  std::thread producer([&] {
    for (int i = 0; i < items;) {
      try {
        queue.put(i, std::chrono::microseconds(i % 300));
        ++i;
      } catch (const Full&) {
      }
    }
  });
  for (int next = 0; next < items;) {
    try {
      ASSERT_EQ(queue.get(std::chrono::microseconds(next % 200)), next);
      ++next;
    } catch (const Empty&) {
    }
  }
  producer.join();
}

TEST(QueueThreadTest, HandlesTravelBetweenThreads) {
  Watchdog dog{200s};
  const std::size_t before = memory::stats().objects;
  {
    struct Request {
      int number;
      Queue<int> reply_to;
    };
    const Queue<Request> requests;
    std::vector<std::thread> servers;
    for (int i = 0; i < 3; ++i) {
      servers.emplace_back([&] {
        for (const Request& request : requests) request.reply_to.put(request.number + 1);
      });
    }
    std::vector<std::thread> clients;
    std::atomic<int> right{0};
    for (int i = 0; i < 3; ++i) {
      clients.emplace_back([&] {
        for (int n = 0; n < 200; ++n) {
          const Queue<int> reply;
          requests.put({n, reply});
          right += reply.get() == n + 1;
        }
      });
    }
    for (std::thread& thread : clients) thread.join();
    requests.close();
    for (std::thread& thread : servers) thread.join();
    EXPECT_EQ(right, 600);
  }
  EXPECT_EQ(memory::stats().objects, before);
  EXPECT_EQ(arena_damage(), "");
}

}  // namespace
}  // namespace multiprocessing
