// What the trace tells of a pool.
#include "multiprocessing/trace.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "multiprocessing/process.hpp"
#include "pool/pool_test_support.hpp"
#include "process/trace_test_support.hpp"
#include "support/temporary_folder.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Events;
using testing::Json;
using testing::numbers;
using testing::Program;
using testing::TemporaryFolder;
using testing::Watchdog;

int killed_by_42(int n) {
  if (n == 42) ::raise(SIGKILL);
  ::usleep(100);
  return n;
}

std::multiset<int> indices(const std::vector<Json>& tasks) {
  std::multiset<int> all;
  for (const Json& task : tasks) {
    const int count = task["args"].has("count") ? static_cast<int>(task["args"]["count"].number) : 1;
    for (int i = 0; i < count; ++i) all.insert(static_cast<int>(task["args"]["task"].number) + i);
  }
  return all;
}

// They are written in microseconds with three digits, and viewers count in nanoseconds.
long long ns(const Json& us) { return std::llround(us.number * 1000); }

// Of tracks: where an event begins before the one before it has ended.  Perfetto drops such events.
int overlaps(const std::vector<Json>& tasks) {
  std::map<std::pair<double, double>, std::vector<std::pair<long long, long long>>> tracks;
  for (const Json& task : tasks) {
    tracks[{task["pid"].number, task["tid"].number}].emplace_back(ns(task["ts"]), ns(task["dur"]));
  }
  int found = 0;
  for (auto& [track, events] : tracks) {
    std::ranges::sort(events);
    for (std::size_t i = 1; i < events.size(); ++i) {
      found += events[i].first < events[i - 1].first + events[i - 1].second;
    }
  }
  return found;
}

bool is_id(const Json& value) {
  return value.kind == Json::Kind::number && value.number > 0 && value.number == std::floor(value.number);
}

bool is_time(const Json& value) { return value.kind == Json::Kind::number && value.number >= 0; }

// What is wrong with one event, by the description of the format; empty: nothing.
std::string wrong_with(const Json& event) {
  const std::string& phase = event["ph"].text;
  if (event["name"].kind != Json::Kind::text) return "it has no name";
  if (!is_id(event["pid"]) || !is_id(event["tid"])) return "it is of no process or thread";
  if (event.has("args") && event["args"].kind != Json::Kind::object) return "its arguments are no object";
  if (phase == "M") {
    if (event["name"].text != "process_name" && event["name"].text != "thread_name") return "unknown metadata";
    return event["args"]["name"].kind == Json::Kind::text ? "" : "metadata without a name";
  }
  if (!is_time(event["ts"])) return "it has no time";
  if (phase == "X") return is_time(event["dur"]) ? "" : "it has no duration";
  if (phase != "i") return "unknown phase";
  return event["s"].text == "t" ? "" : "an instant without a scope";
}

// What viewers need to show the whole.
void expect_format(const Events& events) {
  std::map<double, std::set<std::string>> processes;
  std::map<std::pair<double, double>, std::set<std::string>> threads;
  for (const Json& event : events.all) {
    EXPECT_EQ(wrong_with(event), "") << event["name"].text;
    const std::string& name = event["args"]["name"].text;
    if (event["name"].text == "process_name") processes[event["pid"].number].insert(name);
    if (event["name"].text == "thread_name") threads[{event["pid"].number, event["tid"].number}].insert(name);
  }
  for (const Json& event : events.all) {
    const double pid = event["pid"].number;
    const double tid = event["tid"].number;
    EXPECT_EQ(processes[pid].size(), 1U) << pid << " has one name";
    EXPECT_EQ((threads[{pid, tid}].size()), tid != pid) << pid << " " << tid << " has one name, a process another";
    EXPECT_TRUE(event["ph"].text != "X" || tid != pid) << "tasks are in the tracks of workers";
  }
  EXPECT_EQ(overlaps(events.with("ph", "X")), 0);
}

template <class Error, class Call>
bool throws(const Call& call) {
  try {
    call();
    return false;
  } catch (const Error&) {
    return true;
  }
}

// A death, a restart, a timeout, a cancel, recycling, an exception; a process with a pool of its own.
int run_of_everything(StartMethod method) {
  set_start_method(method);
  Pool pool({.processes = 2, .max_tasks_per_child = 50});
  if (!throws<WorkerDied>([&] { pool.map(killed_by_42, numbers(100), {.chunksize = 1}); })) return 1;
  if (!throws<TaskTimeout>([&] { pool.apply({.timeout = 10ms}, testing::sleep_in_task, 1); })) return 2;
  if (!throws<std::out_of_range>([&] { pool.apply([] { throw std::out_of_range("x"); }); })) return 3;
  auto running = pool.apply_async(testing::sleep_in_task, 1);
  running.cancel();
  if (!throws<Cancelled>([&] { running.get(); })) return 4;
  pool.map(killed_by_42, std::vector<int>(500, 1), {.chunksize = 3});
  Process child({.name = "child"}, [] { Pool(1).apply([] {}); });
  child.start();
  child.join();
  return child.exitcode() == 0 ? 0 : 5;
}

class PoolTraceUnder : public ::testing::TestWithParam<StartMethod> {};

TEST_P(PoolTraceUnder, EveryEventAndTrackIsAsTheFormatDemands) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Program host([&] {
    trace_to(folder / "run.json");
    return run_of_everything(GetParam());
  });
  EXPECT_EQ(host.status(), 0);
  const Events events(folder / "run.json");
  for (const std::string name : {"death", "timeout", "cancel", "recycle", "restart", "start", "exit"}) {
    EXPECT_FALSE(events.named(name).empty()) << name;
  }
  expect_format(events);
}

INSTANTIATE_TEST_SUITE_P(EveryMethod, PoolTraceUnder, ::testing::ValuesIn(get_all_start_methods()),
                         [](const auto& each) { return std::string(name_of(each.param)); });

TEST(PoolTrace, AMapWithOneDeathHasEachTaskOnceAndTheDeath) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Program host([&] {
    trace_to(folder / "run.json");
    Pool pool(3);
    try {
      pool.map(killed_by_42, numbers(100), {.chunksize = 1});
    } catch (const WorkerDied&) {
      return 0;
    }
    return 1;
  });
  EXPECT_EQ(host.status(), 0);
  const Events events(folder / "run.json");
  const std::vector<Json> tasks = events.with("ph", "X");
  std::multiset<int> expected;
  for (int i = 0; i < 100; ++i) expected.insert(i);
  EXPECT_EQ(indices(tasks), expected);
  EXPECT_EQ(overlaps(tasks), 0);
  ASSERT_EQ(events.named("death").size(), 1U);
  EXPECT_EQ(events.named("death")[0]["args"]["signal"].number, SIGKILL);
  for (const Json& task : tasks) {
    const bool is_guilty = task["args"]["task"].number == 42;
    EXPECT_EQ(task["args"]["outcome"].text, is_guilty ? "death" : "done");
    if (is_guilty) {
      EXPECT_EQ(task["args"]["worker"].number, events.named("death")[0]["args"]["pid"].number);
    }
  }
  EXPECT_EQ(events.named("start").size(), 3U);
  EXPECT_EQ(events.named("thread_name").size(), 3U);
}

TEST(PoolTrace, ChunksAreOneEventEachAndMissNoItem) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Program host([&] {
    trace_to(folder / "run.json");
    Pool pool(2);
    return pool.map(killed_by_42, std::vector<int>(1000, 1)).size() == 1000 ? 0 : 1;
  });
  EXPECT_EQ(host.status(), 0);
  const std::vector<Json> tasks = Events(folder / "run.json").with("ph", "X");
  std::multiset<int> expected;
  for (int i = 0; i < 1000; ++i) expected.insert(i);
  EXPECT_EQ(indices(tasks), expected);
  EXPECT_EQ(overlaps(tasks), 0);
}

TEST(PoolTrace, TheTimesAreThoseOfTheTaskInItsWorker) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Program host([&] {
    trace_to(folder / "run.json");
    Pool pool(1);
    const auto quick = pool.apply_async([] {});
    const auto slow = pool.apply_async([] { ::usleep(50'000); });
    slow.wait();
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  const std::vector<Json> tasks = Events(folder / "run.json").with("ph", "X");
  ASSERT_EQ(tasks.size(), 2U);
  EXPECT_GE(tasks[1]["dur"].number, 50'000);
  EXPECT_NE(tasks[0]["name"].text.find("lambda"), std::string::npos);
}

TEST(PoolTrace, ResultsOfAnySizeAndExceptionsArriveAsWithoutIt) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Program host([&] {
    trace_to(folder / "run.json");
    Pool pool(2);
    for (const std::size_t size : {0U, 1U, 7U, 32'730U, 32'750U, 32'760U, 32'768U, 32'769U, 3'000'000U}) {
      const auto make = [](std::size_t n) { return std::string(n, 'x'); };
      if (pool.apply(make, size) != std::string(size, 'x')) return 1;
    }
    try {
      pool.apply([](int n) { throw std::out_of_range(std::to_string(n)); }, 7);
      return 2;
    } catch (const std::out_of_range& e) {
      return std::string(e.what()) == "7" ? 0 : 3;
    }
  });
  EXPECT_EQ(host.status(), 0);
  const std::vector<Json> tasks = Events(folder / "run.json").with("ph", "X");
  ASSERT_EQ(tasks.size(), 10U);
  EXPECT_EQ(tasks.back()["args"]["outcome"].text, "exception");
}

TEST(PoolTrace, TimeoutsCancelsRecyclingAndRestartsAreEvents) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Program host([&] {
    trace_to(folder / "run.json");
    {
      Pool pool(1);
      try {
        pool.apply({.timeout = 10ms}, testing::sleep_in_task, 1);
        return 1;
      } catch (const TaskTimeout&) {
      }
      testing::Shared<int> begun;
      static testing::Shared<int>* shared;
      shared = &begun;
      Pool other(1);
      auto running = other.apply_async([] {
        shared->set(1);
        for (;;) ::pause();
      });
      auto waiting = other.apply_async([] {});
      while (begun.get() == 0) ::sched_yield();
      waiting.cancel();
      running.cancel();
      running.wait();
      pool.apply([] {});
      other.apply([] {});
    }
    Pool pool({.processes = 1, .max_tasks_per_child = 2});
    for (int i = 0; i < 5; ++i) pool.apply([] {});
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  const Events events(folder / "run.json");
  EXPECT_EQ(events.named("timeout").size(), 1U);
  EXPECT_EQ(events.named("cancel").size(), 2U);
  EXPECT_EQ(events.named("recycle").size(), 2U);
  EXPECT_EQ(events.named("restart").size(), 4U);
  EXPECT_EQ(events.named("start").size(), 3U);
  EXPECT_EQ(events.named("death").size(), 0U);
}

TEST(PoolTrace, ARetriedTaskHasAnEventForEachTry) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Program host([&] {
    trace_to(folder / "run.json");
    Pool pool(1);
    try {
      pool.apply({.retries = 2}, [] { ::_exit(9); });
    } catch (const WorkerDied&) {
      return 0;
    }
    return 1;
  });
  EXPECT_EQ(host.status(), 0);
  const std::vector<Json> tasks = Events(folder / "run.json").with("ph", "X");
  ASSERT_EQ(tasks.size(), 3U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(tasks[static_cast<std::size_t>(i)]["args"]["retry"].number, i);
  EXPECT_EQ(overlaps(tasks), 0);
}

TEST(PoolTrace, APoolInAWorkerAddsToTheSameFile) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Program host([&] {
    trace_to(folder / "run.json");
    Pool pool(2);
    const auto nested = [](int n) {
      Pool inner(1);
      return inner.apply([](int x) { return x; }, n);
    };
    return pool.map(nested, numbers(4), {.chunksize = 1})[3] == 3 ? 0 : 1;
  });
  EXPECT_EQ(host.status(), 0);
  const Events events(folder / "run.json");
  const std::vector<Json> tasks = events.with("ph", "X");
  EXPECT_EQ(tasks.size(), 8U);
  EXPECT_EQ(overlaps(tasks), 0);
  std::map<double, std::string> names;
  for (const Json& event : events.named("process_name")) names[event["pid"].number] = event["args"]["name"].text;
  for (const Json& task : tasks) EXPECT_TRUE(names.contains(task["pid"].number));
}

TEST(PoolTrace, AProgramThatIsKilledLeavesValidJson) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  testing::Signal half_way;
  Program host([&] {
    trace_to(folder / "run.json");
    Pool pool(2);
    int seen = 0;
    for (;;) {
      pool.map(killed_by_42, std::vector<int>(500, 1), {.chunksize = 1});
      if (++seen == 3) half_way.set();
    }
    return 0;
  });
  half_way.wait();
  host.kill(SIGKILL);
  EXPECT_EQ(host.status(), -SIGKILL);
  const Events events(folder / "run.json");
  EXPECT_GT(events.with("ph", "X").size(), 100U);
  EXPECT_EQ(overlaps(events.with("ph", "X")), 0);
}

TEST(PoolTrace, ABrokenPoolSaysWhy) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Program host([&] {
    trace_to(folder / "run.json");
    Pool pool(1);
    ::kill(testing::supervisor(pool), SIGKILL);
    try {
      pool.apply(testing::sleep_in_task, 1);
    } catch (const PoolBroken&) {
      return 0;
    }
    return 1;
  });
  EXPECT_EQ(host.status(), 0);
  const Events events(folder / "run.json");
  ASSERT_EQ(events.named("pool broken").size(), 1U);
  EXPECT_NE(events.named("pool broken")[0]["args"]["why"].text.find("supervisor"), std::string::npos);
}

TEST(PoolTrace, NothingIsWrittenWhenItIsOff) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Program host([&] {
    ::unsetenv("MULTIPROCESSING_TRACE");
    if (::chdir(folder.path().c_str()) != 0) return 1;
    Pool pool(2);
    return pool.map(killed_by_42, std::vector<int>(100, 1)).size() == 100 ? 0 : 2;
  });
  EXPECT_EQ(host.status(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace multiprocessing
