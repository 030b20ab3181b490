// The interface by example: what a user's program looks like, compiled as written and checked.  Only the umbrella
// header is included, as users do.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <multiprocessing/multiprocessing.hpp>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "support/watchdog.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::testing::Watchdog;

// --- Process --------------------------------------------------------------------------------------------------------

void name_into(mp::Queue<std::string> out, std::string name) { out.put(name + " in " + mp::current_process().name()); }

TEST(Api, AProcessRunsAFunctionWithArguments) {
  Watchdog dog{60s};
  mp::Queue<std::string> out;
  mp::Process p({.name = "TEST", .daemon = true}, name_into, out, "child 1");
  EXPECT_EQ(p.name(), "TEST");
  EXPECT_TRUE(p.daemon());
  EXPECT_EQ(p.pid(), std::nullopt);
  p.start();
  EXPECT_TRUE(p.pid().has_value());
  EXPECT_THROW(p.set_daemon(false), std::logic_error);
  p.join();
  EXPECT_FALSE(p.is_alive());
  EXPECT_EQ(p.exitcode(), 0);
  EXPECT_EQ(out.get(), "child 1 in TEST");
  p.close();
}

class MyProcess : public mp::Process {
 public:
  explicit MyProcess(std::string who, mp::Queue<std::string> out) : who_(std::move(who)), out_(std::move(out)) {}
  void run() override { out_.put(who_); }

 private:
  std::string who_;
  mp::Queue<std::string> out_;
};

TEST(Api, ASubclassRunsInTheChild) {
  Watchdog dog{60s};
  mp::Queue<std::string> out;
  MyProcess p("me", out);
  p.start();
  p.join();
  EXPECT_EQ(out.get(), "me");
}

TEST(Api, MemoryIsCopiedNotShared) {
  Watchdog dog{60s};
  int n = 100;
  mp::Process p([&] { n = 0; });
  p.start();
  p.join();
  EXPECT_EQ(n, 100);
}

TEST(Api, ExitcodeTellsHowAProcessEnded) {
  Watchdog dog{60s};
  mp::Process killed([] { ::pause(); });
  killed.start();
  EXPECT_FALSE(killed.exitcode().has_value());
  EXPECT_FALSE(killed.join(1ms));
  killed.kill();
  killed.join();
  EXPECT_EQ(killed.exitcode(), -SIGKILL);
  mp::Process exits([] { std::exit(3); });
  exits.start();
  EXPECT_TRUE(exits.join(60s));
  EXPECT_EQ(exits.exitcode(), 3);
}

TEST(Api, ThrownAwayProcessesRunOn) {
  Watchdog dog{60s};
  mp::Queue<int> out;
  for (int j = 0; j < 20; ++j) {
    mp::Process p([out, j] { out.put(j); });
    p.start();
  }
  int sum = 0;
  for (int j = 0; j < 20; ++j) sum += out.get();
  EXPECT_EQ(sum, 190);
}

// --- Queue ----------------------------------------------------------------------------------------------------------

void producer(mp::Queue<std::string> q) {
  for (int i = 1; i < 30; ++i) q.put("bun " + std::to_string(i));
}
void consumer(mp::Queue<std::string> q, mp::Queue<int> eaten) {
  int count = 0;
  for (std::string bun : q) count += bun.starts_with("bun ");
  eaten.put(count);
}

TEST(Api, CooksAndEaters) {
  Watchdog dog{60s};
  mp::Queue<std::string> q;
  mp::Queue<int> eaten;
  mp::Process c(consumer, q, eaten), p(producer, q);
  p.start();
  c.start();
  p.join();
  q.close();
  EXPECT_EQ(eaten.get(), 29);
  c.join();
}

TEST(Api, ABoundedQueueIsFullAndEmpty) {
  Watchdog dog{60s};
  mp::Queue<int> q(5);
  for (int i = 0; i < 5; ++i) q.put(i);
  EXPECT_TRUE(q.full());
  EXPECT_EQ(q.qsize(), 5u);
  EXPECT_EQ(q.maxsize(), 5u);
  EXPECT_THROW(q.put(5, 10ms), mp::Full);
  EXPECT_THROW(q.put_nowait(5), mp::Full);
  EXPECT_FALSE(q.try_put(5));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(q.get(2s), i);
  EXPECT_TRUE(q.empty());
  EXPECT_THROW((void)q.get(10ms), mp::Empty);
  EXPECT_THROW((void)q.get_nowait(), mp::Empty);
  EXPECT_EQ(q.try_get(), std::nullopt);
}

// --- Pool -----------------------------------------------------------------------------------------------------------

int test(int x) { return x + 100; }
int add(int a, int b) { return a + b; }
std::string slow(std::string s) { return s + "!"; }
struct Point {
  int x;
  std::string label;
  std::optional<double> weight;
};
Point move_right(Point p) { return {p.x + 1, p.label, p.weight}; }

TEST(Api, APoolHasPythonsCalls) {
  Watchdog dog{120s};
  mp::Pool pool(3);
  EXPECT_EQ(pool.apply(test, 1), 101);
  auto later = pool.apply_async(slow, "x");
  EXPECT_EQ(later.get(60s), "x!");
  EXPECT_TRUE(later.ready());
  EXPECT_TRUE(later.successful());
  const std::vector<int> numbers{1, 2, 3, 4, 5};
  const std::vector<int> wanted{101, 102, 103, 104, 105};
  EXPECT_EQ(pool.map(test, numbers), wanted);
  EXPECT_EQ(pool.map(test, numbers, {.chunksize = 2}), wanted);
  EXPECT_EQ(pool.map_async(test, numbers).get(), wanted);
  std::vector<int> in_order;
  for (int r : pool.imap(test, numbers)) in_order.push_back(r);
  EXPECT_EQ(in_order, wanted);
  std::vector<int> as_they_finish;
  for (int& r : pool.imap_unordered(test, numbers)) as_they_finish.push_back(r);
  std::sort(as_they_finish.begin(), as_they_finish.end());
  EXPECT_EQ(as_they_finish, wanted);
  EXPECT_EQ(pool.starmap(add, std::vector<std::tuple<int, int>>{{1, 2}, {3, 4}}), (std::vector<int>{3, 7}));
  EXPECT_EQ(pool.apply(move_right, Point{1, "p", 2.5}).x, 2);
  pool.close();
  pool.join();
}

TEST(Api, CallbacksRun) {
  Watchdog dog{60s};
  std::promise<int> good;
  std::promise<std::string> bad;
  mp::Pool pool(1);
  pool.apply_async(test, 1).on_success([&](const int& x) { good.set_value(x); });
  pool.apply_async([](int) -> int { throw std::invalid_argument("no"); }, 1).on_error([&](std::exception_ptr e) {
    try {
      std::rethrow_exception(e);
    } catch (const std::invalid_argument& error) {
      bad.set_value(error.what());
    }
  });
  EXPECT_EQ(good.get_future().get(), 101);
  EXPECT_EQ(bad.get_future().get(), "no");
}

int parse(int file) {
  if (file == 3) ::raise(SIGSEGV);
  return file * 10;
}

TEST(Api, TheReadmesFirstProgramGoesOnAfterACrash) {
  Watchdog dog{60s};
  mp::Pool pool(4);
  std::vector<mp::AsyncResult<int>> results;
  for (int file = 0; file < 6; ++file) results.push_back(pool.apply_async(parse, file));
  for (int file = 0; file < 6; ++file) {
    if (file == 3) {
      try {
        results[3].get();
        FAIL() << "the worker should have died";
      } catch (const mp::WorkerDied& death) {
        EXPECT_EQ(death.signal(), SIGSEGV);
        EXPECT_EQ(death.exit_code(), std::nullopt);
      }
    } else {
      EXPECT_EQ(results[static_cast<std::size_t>(file)].get(), file * 10);
    }
  }
}

void put_into(mp::Queue<int> q, int x) { q.put(x); }

TEST(Api, AQueueIsAnArgumentOfATaskAndAnItemOfAQueue) {
  Watchdog dog{60s};
  mp::Queue<int> q;
  mp::Pool pool(2);
  pool.apply(put_into, q, 7);
  EXPECT_EQ(q.get(), 7);
  mp::Queue<mp::Queue<int>> queues;
  queues.put(q);
  const mp::Queue<int> same = queues.get();
  [same] { same.put(1); }();
  EXPECT_EQ(q.get(), 1);
}

TEST(Api, AnInitializerRunsFirst) {
  Watchdog dog{60s};
  static int model = 0;
  mp::Pool pool({.processes = 2, .initializer = mp::bind([](int path) { model = path; }, 5)});
  EXPECT_EQ(pool.apply([] { return model; }), 5);
}

// --- What can be sent, progress -------------------------------------------------------------------------------------

static_assert(mp::sendable<Point> && mp::sendable<std::map<std::string, std::vector<Point>>>);
static_assert(mp::sendable<mp::Queue<int>> && !mp::sendable<int*> && !mp::sendable<std::string_view>);

TEST(Api, ProgressWrapsAnyRange) {
  Watchdog dog{60s};
  mp::Pool pool(1);
  const std::vector<int> numbers{1, 2, 3};
  int sum = 0;
  for (auto& done : mp::progress(pool.imap_unordered(test, numbers), {.label = "copying"})) sum += done;
  EXPECT_EQ(sum, 306);
}

TEST(Api, CpuCountIsAtLeastOne) { EXPECT_GE(mp::cpu_count(), 1); }

}  // namespace
