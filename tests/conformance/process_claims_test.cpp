// What Python's documentation says of Process, for every start method; and what differs between them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <multiprocessing/multiprocessing.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "conformance/start_methods.hpp"

namespace multiprocessing::testing {
namespace {

using namespace std::chrono_literals;

int made_by_initialiser = 1;  // what main and the tests change, a program that is executed anew has not

class ProcessClaims : public ::testing::TestWithParam<StartMethod> {
 protected:
  template <class... Call>
  Process process(Call&&... call) {
    return get_context(GetParam()).process(std::forward<Call>(call)...);
  }
  template <class... Call>
  Process process(ProcessOptions options, Call&&... call) {
    return get_context(GetParam()).process(std::move(options), std::forward<Call>(call)...);
  }
  template <class... Call>
  std::optional<int> exitcode_of(Call&&... call) {
    Process child = process(std::forward<Call>(call)...);
    child.start();
    child.join();
    return child.exitcode();
  }

 private:
  Watchdog dog_{120s};
};
FOR_EVERY_START_METHOD(ProcessClaims);

void expect_arguments(const std::string& text, int number, std::unique_ptr<int> owned, std::vector<std::string> list) {
  require(text == "literal" && number == 7 && *owned == 8 && list == std::vector<std::string>{"a", "b"});
}

[[noreturn]] void sleep_for_ever() {
  for (;;) ::pause();
}

TEST_P(ProcessClaims, TheTargetGetsItsArguments) {
  EXPECT_EQ(exitcode_of(expect_arguments, "literal", 7, std::make_unique<int>(8), std::vector<std::string>{"a", "b"}),
            0);
}

TEST_P(ProcessClaims, ALongArgumentArrivesWhole) {
  const auto target = [](const std::string& text) { require(text == std::string(10'000'000, 'x')); };
  EXPECT_EQ(exitcode_of(target, std::string(10'000'000, 'x')), 0);
}

TEST_P(ProcessClaims, HandlesOfEveryKindArriveAsArguments) {
  const auto target = [](Queue<int> queue, Lock lock, Event event, Array<double> array, Value<int> value) {
    std::scoped_lock hold(lock);
    queue.put(1);
    array.span()[5] = 2.5;
    value.set(3);
    event.set();
  };
  Queue<int> queue;
  Event event;
  Array<double> array(10);
  Value<int> value(0);
  EXPECT_EQ(exitcode_of(target, queue, Lock(), event, array, value), 0);
  EXPECT_TRUE(event.is_set());
  EXPECT_EQ(queue.get(5s), 1);
  EXPECT_EQ(array.span()[5], 2.5);
  EXPECT_EQ(value.get(), 3);
}

TEST_P(ProcessClaims, AnObjectThatOnlyTheChildHasLivesOn) {
  const auto target = [](Queue<int> queue, Event dropped) {
    dropped.wait();
    queue.put(1);
    require(queue.get() == 1);
  };
  Event dropped;
  Process child = process(target, Queue<int>(), dropped);
  child.start();
  dropped.set();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

TEST_P(ProcessClaims, AConnectionGivenToTheChildEndsWithTheChild) {
  auto [ours, theirs] = Pipe();
  Process child = process([](Connection end) { end.send(end.recv<std::string>() + "!"); }, std::move(theirs));
  child.start();
  ours.send("x");
  EXPECT_EQ(ours.recv<std::string>(), "x!");
  EXPECT_THROW(ours.recv<std::string>(), EndOfFile);
  child.join();
}

TEST_P(ProcessClaims, ATargetThatLetsGoOfItsConnectionEndsIt) {
  Event seen;
  auto [ours, theirs] = Pipe();
  const auto target = [](Connection end, Event event) {
    { const Connection last = std::move(end); }
    event.wait();
  };
  Process child = process(target, std::move(theirs), seen);
  child.start();
  EXPECT_THROW(ours.recv<int>(), EndOfFile);  // while the child runs
  seen.set();
  child.join();
}

TEST_P(ProcessClaims, ManyConnectionsArriveInOrder) {
  std::vector<Connection> ours;
  std::vector<Connection> theirs;
  for (int i = 0; i < 100; ++i) {
    auto [left, right] = Pipe();
    ours.push_back(left);
    theirs.push_back(right);
  }
  const auto target = [](std::vector<Connection> ends) {
    for (int i = 0; i < static_cast<int>(ends.size()); ++i) ends[static_cast<std::size_t>(i)].send(i);
  };
  EXPECT_EQ(exitcode_of(target, std::move(theirs)), 0);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ours[static_cast<std::size_t>(i)].recv<int>(), i);
}

TEST_P(ProcessClaims, TheExitCodeIsZeroWhenTheTargetReturns) {
  EXPECT_EQ(exitcode_of([] {}), 0);
}
TEST_P(ProcessClaims, TheExitCodeIsThatOfExit) {
  EXPECT_EQ(exitcode_of([] { std::exit(3); }), 3);
  EXPECT_EQ(exitcode_of([] { ::_exit(4); }), 4);
}
TEST_P(ProcessClaims, TheExitCodeIsOneWhenAnExceptionLeavesTheTarget) {
  EXPECT_EQ(exitcode_of([] { throw std::runtime_error("expected"); }), 1);
}
TEST_P(ProcessClaims, TheExitCodeIsMinusTheSignal) {
  for (const auto end : {&Process::terminate, &Process::interrupt, &Process::kill}) {
    Event ready;
    Process child = process(
        [](Event event) {
          event.set();
          sleep_for_ever();
        },
        ready);
    child.start();
    ready.wait();
    EXPECT_FALSE(child.join(a_moment));
    EXPECT_EQ(child.exitcode(), std::nullopt);
    (child.*end)();
    child.join();
    EXPECT_EQ(child.exitcode(), end == &Process::terminate   ? -SIGTERM
                                : end == &Process::interrupt ? -SIGINT
                                                             : -SIGKILL);
  }
}

TEST_P(ProcessClaims, TheSentinelPollsReadableAtTheEnd) {
  Event end;
  Process child = process([](Event event) { event.wait(); }, end);
  child.start();
  pollfd sentinel{child.sentinel(), POLLIN, 0};
  EXPECT_EQ(::poll(&sentinel, 1, 0), 0);
  EXPECT_TRUE(child.is_alive());
  end.set();
  EXPECT_EQ(::poll(&sentinel, 1, -1), 1);
  child.join();
  EXPECT_FALSE(child.is_alive());
}

TEST_P(ProcessClaims, AChildKnowsItselfAndItsParent) {
  const auto target = [](std::string name, pid_t parent) {
    require(current_process().name() == name && current_process().pid() == ::getpid());
    require(parent_process()->pid() == parent && parent_process()->name() == "MainProcess");
    require(parent_process()->is_alive() && ::getppid() == parent);
  };
  Process child = process({.name = "NAMED"}, target, "NAMED", ::getpid());
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

TEST_P(ProcessClaims, NamesNest) {
  Queue<std::string> names;
  Process child = process(
      [](StartMethod method, Queue<std::string> queue) {
        for (int i = 0; i < 2; ++i) {
          Process grandchild =
              get_context(method).process([](Queue<std::string> to) { to.put(current_process().name()); }, queue);
          grandchild.start();
          grandchild.join();
        }
      },
      GetParam(), names);
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
  EXPECT_EQ(names.get(5s), child.name() + ":1");
  EXPECT_EQ(names.get(5s), child.name() + ":2");
}

TEST_P(ProcessClaims, AChildWaitsForItsOwnChildren) {
  Event end;
  Event ended;
  Process child = process(
      [](StartMethod method, Event go, Event gone) {
        get_context(method)
            .process(
                [](Event wait_for, Event then) {
                  wait_for.wait();
                  then.set();
                },
                go, gone)
            .start();
      },
      GetParam(), end, ended);
  child.start();
  EXPECT_FALSE(child.join(a_moment));
  end.set();
  child.join();
  EXPECT_TRUE(ended.is_set());
}

TEST_P(ProcessClaims, ADaemonMustNotStartProcesses) {
  const auto target = [](StartMethod method) {
    Process grandchild = get_context(method).process([] {});
    try {
      grandchild.start();
    } catch (const DaemonicChildError&) {
      return;
    }
    require(false);
  };
  Process child = process({.daemon = true}, target, GetParam());
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

TEST_P(ProcessClaims, OnlyWhatTheProgramStartedIsAnActiveChild) {
  Event end;
  Process child = process([](Event event) { event.wait(); }, end);
  child.start();
  const auto children = active_children();
  ASSERT_EQ(children.size(), 1U);
  EXPECT_EQ(children.front().pid(), child.pid());
  end.set();
  child.join();
  EXPECT_TRUE(active_children().empty());
}

TEST_P(ProcessClaims, KillTakesTheDescendantsAlong) {
  auto [ours, theirs] = Pipe({.duplex = false});
  Event ready;
  Process child = process(
      [](StartMethod method, Connection end, Event event) {
        Process grandchild = get_context(method).process(
            [](Connection, Event up) {
              ::setsid();
              up.set();
              sleep_for_ever();
            },
            std::move(end), event);
        grandchild.start();
        sleep_for_ever();
      },
      GetParam(), std::move(theirs), ready);
  child.start();
  ready.wait();
  child.kill();
  child.join();
  EXPECT_THROW(ours.recv<int>(), EndOfFile);
}

TEST_P(ProcessClaims, MemoryIsACopyUnderForkAndFreshOtherwise) {
  made_by_initialiser = 2;
  const int expected = GetParam() == StartMethod::fork ? 2 : 1;
  EXPECT_EQ(exitcode_of([](int wanted) { require(made_by_initialiser == wanted); }, expected), 0);
  made_by_initialiser = 1;
}

TEST_P(ProcessClaims, TheStandardStreamsAreThoseOfTheParentAtTheStart) {
  for (const std::string text : {"first", "second"}) {  // the forkserver was there at the second
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    std::fflush(stdout);
    const int saved = ::dup(STDOUT_FILENO);
    ::dup2(ends[1], STDOUT_FILENO);
    Process child = process([](std::string say) { std::fputs(say.c_str(), stdout); }, text);
    child.start();
    ::dup2(saved, STDOUT_FILENO);
    ::close(saved);
    ::close(ends[1]);
    std::string said;
    for (char c = 0; ::read(ends[0], &c, 1) == 1;) said.push_back(c);
    ::close(ends[0]);
    child.join();
    EXPECT_EQ(said, text);
  }
}

TEST_P(ProcessClaims, AClosureWithCapturesNeedsFork) {
  int number = 1;
  const auto start = [&] { return exitcode_of([&number] { require(number == 1); }); };
  if (GetParam() == StartMethod::fork) {
    EXPECT_EQ(start(), 0);
  } else {
    EXPECT_THROW(start(), NotSendable);
  }
}

TEST_P(ProcessClaims, AnArgumentThatCannotBeSentIsNamed) {
  int number = 1;
  const auto start = [&] { return exitcode_of([](int, int* pointer) { require(*pointer == 1); }, 0, &number); };
  if (GetParam() == StartMethod::fork) {
    EXPECT_EQ(start(), 0);
    return;
  }
  try {
    start();
    ADD_FAILURE() << "started";
  } catch (const NotSendable& error) {
    EXPECT_NE(std::string(error.what()).find("argument 2 of the target, int*"), std::string::npos) << error.what();
  }
}

TEST_P(ProcessClaims, AStartThatThrewCanBeRepeatedByAnotherMethod) {
  set_start_method(GetParam(), {.force = true});
  int number = 1;
  Process child([&number] { require(number == 1); });
  if (GetParam() != StartMethod::fork) {
    EXPECT_THROW(child.start(), NotSendable);
    EXPECT_FALSE(child.is_alive());
    EXPECT_EQ(child.pid(), std::nullopt);
  }
  set_start_method(StartMethod::fork, {.force = true});
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

TEST_P(ProcessClaims, AChildStartsItsOwnByTheMethodThatWasSet) {
  set_start_method(GetParam(), {.force = true});
  EXPECT_EQ(exitcode_of([](StartMethod wanted) { require(get_start_method() == wanted); }, GetParam()), 0);
  set_start_method(StartMethod::fork, {.force = true});
}

class Greeter : public ProcessOf<Greeter> {
 public:
  Greeter() = default;
  Greeter(std::string who, Queue<std::string> to) : who_(std::move(who)), to_(std::move(to)) {}
  void run() override {
    require(pid() == ::getpid() && is_alive());
    to_.put("hello " + who_ + " from " + name());
  }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(who_, to_);
  }

 private:
  std::string who_;
  Queue<std::string> to_;
};

TEST_P(ProcessClaims, ASerializableSubclassRunsItsRun) {
  set_start_method(GetParam(), {.force = true});
  Queue<std::string> to;
  Greeter greeter("you", to);
  greeter.start();
  greeter.join();
  set_start_method(StartMethod::fork, {.force = true});
  EXPECT_EQ(greeter.exitcode(), 0);
  EXPECT_EQ(to.get(5s), "hello you from " + greeter.name());
}

class Plain : public Process {
  void run() override {}
};
class Unserialized : public ProcessOf<Unserialized> {
  void run() override {}
};

TEST_P(ProcessClaims, ASubclassThatCannotBeSentNeedsFork) {
  set_start_method(GetParam(), {.force = true});
  Plain plain;
  Unserialized unserialized;
  for (Process* child : {static_cast<Process*>(&plain), static_cast<Process*>(&unserialized)}) {
    if (GetParam() == StartMethod::fork) {
      child->start();
      child->join();
    } else {
      EXPECT_THROW(child->start(), NotSendable);
    }
  }
  set_start_method(StartMethod::fork, {.force = true});
}

TEST_P(ProcessClaims, ManyThreadsMayStartProcessesAtOnce) {
  Value<int> count(0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 5; ++j) {
        EXPECT_EQ(exitcode_of([](Value<int> of) { of.update([](int& n) { ++n; }); }, count), 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count.get(), 20);
}

TEST(StartMethods, AreSetOnceUnlessForced) {
  set_start_method(StartMethod::spawn, {.force = true});
  EXPECT_THROW(set_start_method(StartMethod::forkserver), std::logic_error);
  EXPECT_EQ(get_start_method(), StartMethod::spawn);
  set_start_method(StartMethod::fork, {.force = true});
  EXPECT_EQ(get_start_method(), StartMethod::fork);
}

TEST(StartMethods, AreAllThere) {
  EXPECT_EQ(get_all_start_methods(), (std::vector{StartMethod::fork, StartMethod::spawn, StartMethod::forkserver}));
}

}  // namespace
}  // namespace multiprocessing::testing
