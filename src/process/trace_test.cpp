// The trace's file: several writers, their deaths, and what processes leave in it.
#include "process/trace.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/trace.hpp"
#include "process/process_test_support.hpp"
#include "process/trace_test_support.hpp"
#include "support/temporary_folder.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using process_::Trace;
using process_::TraceEvent;
using testing::Events;
using testing::Host;
using testing::Json;
using testing::TemporaryFolder;
using testing::Watchdog;

void add(const std::string& name) {
  TraceEvent event(name, 'i', ::getpid(), 1);
  event.at(Trace::now());
  Trace::current()->add(std::move(event));
}

TEST(Trace, NothingIsOpenedOrWrittenWhenItIsOff) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Host host([&] {
    ::unsetenv("MULTIPROCESSING_TRACE");
    if (::chdir(folder.path().c_str()) != 0) return 1;
    Process p([] {});
    p.start();
    p.join();
    return Trace::current() == nullptr ? 0 : 2;
  });
  EXPECT_EQ(host.status(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Trace, TheEnvironmentTurnsItOn) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Host host([&] {
    ::setenv("MULTIPROCESSING_TRACE", (folder / "run.json").c_str(), 1);
    Process p({.name = "a child"}, [] { ::_exit(3); });
    p.start();
    p.join();
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  const Events events(folder / "run.json");
  ASSERT_EQ(events.named("start").size(), 1U);
  ASSERT_EQ(events.named("exit").size(), 1U);
  EXPECT_EQ(events.named("exit")[0]["args"]["exitcode"].number, 3);
  std::set<std::string> names;
  for (const Json& event : events.named("process_name")) names.insert(event["args"]["name"].text);
  EXPECT_EQ(names, (std::set<std::string>{"MainProcess", "a child"}));
}

TEST(Trace, AFileThatCannotBeOpenedIsToldOnceAndCostsTheTraceOnly) {
  Watchdog dog{60s};
  testing::Captured err(2);
  Host host([&] {
    ::setenv("MULTIPROCESSING_TRACE", "/nonexistent/run.json", 1);
    for (int i = 0; i < 2; ++i) {
      Process p([] {});
      p.start();
      p.join();
      if (p.exitcode() != 0) return 1;
    }
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  EXPECT_EQ(err.text(),
            "multiprocessing: MULTIPROCESSING_TRACE: open for the trace '/nonexistent/run.json': No such file or "
            "directory\n");
}

TEST(Trace, TraceToThrowsWhereTheFileCannotBeOpened) {
  EXPECT_THROW(trace_to("/nonexistent/run.json"), OsError);
  EXPECT_THROW(trace_to("/dev/null"), OsError);  // no file that could be written at its end
}

class TraceUnder : public ::testing::TestWithParam<StartMethod> {};

TEST_P(TraceUnder, ChildrenGoOnWithTheFileThatTraceToHasNamed) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Host host([&] {
    ::unsetenv("MULTIPROCESSING_TRACE");
    if (::chdir(folder.path().c_str()) != 0) return 1;
    trace_to("run.json");
    if (::chdir("/") != 0) return 2;
    set_start_method(GetParam());
    Process p({.name = "child"}, [] {
      Process grandchild({.name = "grandchild"}, [] {});
      grandchild.start();
      grandchild.join();
    });
    p.start();
    p.join();
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  const Events events(folder / "run.json");
  EXPECT_EQ(events.named("start").size(), 2U);
  EXPECT_EQ(events.named("exit").size(), 2U);
  std::set<std::string> names;
  for (const Json& event : events.named("process_name")) names.insert(event["args"]["name"].text);
  EXPECT_EQ(names, (std::set<std::string>{"MainProcess", "child", "grandchild"}));
}

INSTANTIATE_TEST_SUITE_P(EveryMethod, TraceUnder, ::testing::ValuesIn(get_all_start_methods()),
                         [](const auto& each) { return std::string(name_of(each.param)); });

TEST(Trace, ASignalThatEndsAChildIsInItsExit) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Host host([&] {
    trace_to(folder / "run.json");
    Process p([] { ::raise(SIGKILL); });
    p.start();
    p.join();
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  EXPECT_EQ(Events(folder / "run.json").named("exit")[0]["args"]["signal"].number, SIGKILL);
}

TEST(Trace, AnyTextIsValidJson) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Host host([&] {
    trace_to(folder / "run.json");
    std::string every;
    for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
    add(every);
    add(std::string(100'000, '"'));
    add("");
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  EXPECT_EQ(Events(folder / "run.json").all.size(), 4U);
}

TEST(Trace, EveryEventOfEveryProcessIsInTheFileOnce) {
  Watchdog dog{120s};
  const TemporaryFolder folder;
  constexpr int writers = 3;
  constexpr int each = 1000;
  Host host([&] {
    trace_to(folder / "run.json");
    testing::Shared<int> there;
    const auto write = [&there](int first) {
      there.add(1);
      while (there.get() != 2 * writers) ::sched_yield();
      for (int n = first; n < first + each; ++n) {
        add(std::to_string(n));
        Trace::current()->flush();
      }
    };
    std::vector<Process> processes;
    for (int i = 0; i < writers; ++i) {
      processes.emplace_back(write, i * each);
      processes.back().start();
    }
    std::vector<std::thread> threads;
    for (int i = writers; i < 2 * writers; ++i) threads.emplace_back(write, i * each);
    for (std::thread& thread : threads) thread.join();
    for (Process& p : processes) p.join();
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  const Events events(folder / "run.json");
  std::multiset<std::string> names;
  for (const Json& event : events.with("ph", "i")) names.insert(event["name"].text);
  for (int n = 0; n < 2 * writers * each; ++n) EXPECT_EQ(names.count(std::to_string(n)), 1U) << n;
}

TEST(Trace, AWriteThatWasTornIsMendedByTheNextWriter) {
  Watchdog dog{120s};
  const TemporaryFolder folder;
  Host first([&] {
    trace_to(folder / "run.json");
    add("one");
    Trace::current()->flush();
    add("two");
    Trace::current()->flush();
    return 0;
  });
  EXPECT_EQ(first.status(), 0);
  const std::string whole = testing::text_of(folder / "run.json");
  const std::size_t one_ends = whole.find("}\n,{\"name\":\"two\"") + 2;
  ASSERT_GT(one_ends, 2U);
  for (std::size_t size = one_ends; size <= whole.size(); ++size) {
    Host next([&] {
      trace_to(folder / "run.json");  // begins anew
      const base::Fd file(::open((folder / "run.json").c_str(), O_RDWR));
      std::string torn = testing::text_of(folder / "run.json");  // ours is the first line, and alive
      const std::string ours = torn.substr(0, torn.size() - 3);
      const std::size_t events = whole.find("}\n,{\"name\":\"one\"") + 1;
      torn = ours + whole.substr(events, size - events);
      if (::ftruncate(file.get(), 0) != 0 || ::pwrite(file.get(), torn.data(), torn.size(), 0) < 0) return 1;
      add("three");
      return 0;
    });
    ASSERT_EQ(next.status(), 0);
    const Events events(folder / "run.json");
    ASSERT_EQ(events.named("one").size(), 1U) << size;
    ASSERT_EQ(events.named("three").size(), 1U) << size;
  }
}

TEST(Trace, AWriterKilledAtAnyTimeLeavesAFileThatOthersGoOnWith) {
  Watchdog dog{120s};
  const TemporaryFolder folder;
  Host host([&] {
    trace_to(folder / "run.json");
    for (int round = 0; round < 30; ++round) {
      testing::Shared<int> begun;
      Process p([&] {
        for (;;) {
          add(std::string(400, 'x'));
          Trace::current()->flush();
          begun.add(1);
        }
      });
      p.start();
      while (begun.get() < round % 5) ::sched_yield();
      p.kill();
      p.join();
      add("round");
      Trace::current()->flush();
    }
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  EXPECT_EQ(Events(folder / "run.json").named("round").size(), 30U);
}

TEST(Trace, AFileOfAnEarlierRunIsOverwritten) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  for (const char* name : {"first", "second"}) {
    Host host([&] {
      trace_to(folder / "run.json");
      add(name);
      return 0;
    });
    EXPECT_EQ(host.status(), 0);
  }
  EXPECT_EQ(Events(folder / "run.json").named("first").size(), 0U);
  EXPECT_EQ(Events(folder / "run.json").named("second").size(), 1U);
}

TEST(Trace, AFileSizeLimitCostsEventsAndNotTheProgram) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Host host([&] {
    trace_to(folder / "run.json");
    add("before");
    Trace::current()->flush();
    const rlimit small{2000, 2000};
    ::setrlimit(RLIMIT_FSIZE, &small);
    for (int i = 0; i < 100; ++i) add(std::string(100, 'x'));
    Trace::current()->flush();
    add("after");
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  const Events events(folder / "run.json");
  EXPECT_EQ(events.named("before").size(), 1U);
  EXPECT_EQ(events.named("after").size(), 1U);
}

TEST(Trace, ClosedDescriptorsAreNoneOfItsOwn) {
  Watchdog dog{60s};
  const TemporaryFolder folder;
  Host host([&] {
    trace_to(folder / "run.json");
    ::close_range(3, ~0U, 0);
    const int stranger = ::open((folder / "stranger").c_str(), O_RDWR | O_CREAT, 0600);
    add("event");
    Trace::current()->flush();
    return ::lseek(stranger, 0, SEEK_END) == 0 ? 0 : 1;
  });
  EXPECT_EQ(host.status(), 0);
  EXPECT_EQ(Events(folder / "run.json").named("event").size(), 1U);
}

}  // namespace
}  // namespace multiprocessing
