// The tables of before_main.hpp and forkserver.hpp: killed at each step, the others see what they say.  And FAULTS 26:
// the OS refuses.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "memory/family.hpp"
#include "multiprocessing/connection.hpp"
#include "multiprocessing/context.hpp"
#include "multiprocessing/queue.hpp"
#include "multiprocessing/synchronize.hpp"
#include "os/faults.hpp"
#include "process/process_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Watchdog;

std::size_t members() {
  memory::collect_orphans();
  return memory::stats().members;
}

void await_members(std::size_t expected) {
  while (members() != expected) ::sched_yield();
}

struct Case {
  StartMethod method;
  const char* step;
};

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = std::string(name_of(info.param.method)) + "_";
  for (const char c : std::string_view(info.param.step)) name.push_back(c == '.' ? '_' : c);
  return name;
}

// A process of its own, so that its forkserver is its own too.  `body` runs in a child of the test by fork.
template <class Body>
int status_of(Body body) {
  Process parent(std::move(body));
  parent.start();
  parent.join();
  return parent.exitcode().value_or(1000);
}

void require(bool holds, int line = __builtin_LINE()) {
  if (!holds) throw std::runtime_error("not true: line " + std::to_string(line));
}

// --- the child dies ------------------------------------------------------------------------------------------------

class NewcomerKilledAt : public ::testing::TestWithParam<Case> {};

TEST_P(NewcomerKilledAt, IsADeadChildLikeAnyOther) {
  Watchdog dog{120s};
  const std::size_t before = members();
  const int status = status_of([] {
    const auto [method, step] = GetParam();
    const Context context = get_context(method);
    for (const bool daemon : {false, true}) {
      Process child = context.process({.daemon = daemon}, [] {});
      os::steps::kill_executed_at(step);
      child.start();
      os::steps::clear();
      child.join();
      require(child.exitcode() == -SIGKILL);
    }
  });
  EXPECT_EQ(status, 0);
  await_members(before);
}

INSTANTIATE_TEST_SUITE_P(EveryStep, NewcomerKilledAt,
                         ::testing::Values(Case{StartMethod::spawn, "process.child.joined"},
                                           Case{StartMethod::spawn, "process.child.entered"},
                                           Case{StartMethod::spawn, "process.child.finished"},
                                           Case{StartMethod::spawn, "process.child.flushed"},
                                           Case{StartMethod::forkserver, "member.child_forked"},
                                           Case{StartMethod::forkserver, "process.child.entered"},
                                           Case{StartMethod::forkserver, "process.child.finished"},
                                           Case{StartMethod::forkserver, "process.child.flushed"}),
                         case_name);

// --- the server dies -----------------------------------------------------------------------------------------------

// The first server dies at the step of its first request; the second one is not armed.
class ServerKilledAt : public ::testing::TestWithParam<const char*> {};

TEST_P(ServerKilledAt, CostsNoStart) {
  Watchdog dog{120s};
  const std::size_t before = members();
  const int status = status_of([] {
    const Context context = get_context(StartMethod::forkserver);
    Queue<int> queue;
    // Armed for its third request: by then the environment that it was started with is no more.
    os::steps::kill_executed_at(GetParam(), 3);
    for (int i = 0; i < 5; ++i) {
      Process child = context.process([](Queue<int> to, int number) { to.put(number); }, queue, i);
      child.start();
      os::steps::clear();
      child.join();
      require(child.exitcode() == 0);
      require(queue.get(5s) == i);
      require(queue.empty());
    }
  });
  EXPECT_EQ(status, 0);
  await_members(before);
}

INSTANTIATE_TEST_SUITE_P(EveryStep, ServerKilledAt,
                         ::testing::Values("member.newcomer_holds", "member.newcomer_forked"),
                         [](const auto& kill) { return std::string(kill.param).substr(7); });

pid_t server_of_this_process() {
  // The only child there is.
  siginfo_t info{};
  require(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0);
  std::FILE* const children = std::fopen(("/proc/self/task/" + std::to_string(::getpid()) + "/children").c_str(), "r");
  require(children != nullptr);
  int pid = 0;
  require(std::fscanf(children, "%d", &pid) == 1);
  std::fclose(children);
  return pid;
}

TEST(ServerKilled, BetweenStartsIsReplacedAndItsChildrenLiveOn) {
  Watchdog dog{120s};
  const std::size_t before = members();
  const int status = status_of([] {
    const Context context = get_context(StartMethod::forkserver);
    Process first = context.process([] {});
    first.start();
    first.join();
    const pid_t server = server_of_this_process();
    Event end;
    Process child = context.process([](Event event) { event.wait(); }, end);
    child.start();
    ::kill(server, SIGKILL);
    Process another = context.process([] {});
    another.start();
    another.join();
    require(another.exitcode() == 0);
    require(child.is_alive());
    end.set();
    child.join();
    require(child.exitcode() == 0);
  });
  EXPECT_EQ(status, 0);
  await_members(before);
}

// --- the parent dies -----------------------------------------------------------------------------------------------

template <class F>
void expect_nobody_left(F body) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const base::Fd read_end(ends[0]);
  base::Fd write_end(ends[1]);
  body(Descriptor(write_end.get()), write_end);
  char byte = 0;
  EXPECT_EQ(::read(read_end.get(), &byte, 1), 0);
}

class ParentKilledAt : public ::testing::TestWithParam<Case> {};

// The child holds the pipe's write end: what is left of it would keep the test waiting.
TEST_P(ParentKilledAt, LeavesNoDaemonNoServerAndNoMember) {
  Watchdog dog{120s};
  const std::size_t before = members();
  expect_nobody_left([](const Descriptor& held, base::Fd& write_end) {
    Process parent([&held] {
      const auto [method, step] = GetParam();
      Process child = get_context(method).process(
          {.daemon = true}, [](const Descriptor&) { testing::sleep_for_ever(); }, held);
      os::steps::kill_at(step);
      child.start();
      child.join();
    });
    parent.start();
    parent.join();
    EXPECT_EQ(parent.exitcode(), -SIGKILL);
    const_cast<Descriptor&>(held) = Descriptor(STDERR_FILENO);
    write_end.reset();
  });
  await_members(before);
}

TEST_P(ParentKilledAt, LetsANonDaemonRunToItsEndOrNotBeginAtAll) {
  Watchdog dog{120s};
  const auto [method, step] = GetParam();
  const std::size_t before = members();
  Event ran;
  expect_nobody_left([&ran](const Descriptor& held, base::Fd& write_end) {
    Process parent([&held, &ran] {
      const auto [how, where] = GetParam();
      Process child = get_context(how).process([](const Descriptor&, Event event) { event.set(); }, held, ran);
      os::steps::kill_at(where);
      child.start();
      child.join();
    });
    parent.start();
    parent.join();
    EXPECT_EQ(parent.exitcode(), -SIGKILL);
    const_cast<Descriptor&>(held) = Descriptor(STDERR_FILENO);
    write_end.reset();
  });
  await_members(before);
  const std::string_view at(step);
  EXPECT_EQ(ran.is_set(), at == "process.start.forked" || at == "process.start.registered");
}

constexpr Case parent_cases[] = {
    {StartMethod::spawn, "process.start.planned"},     {StartMethod::spawn, "member.slot_taken"},
    {StartMethod::spawn, "process.start.sent"},        {StartMethod::spawn, "member.forked"},
    {StartMethod::spawn, "member.before_gate"},        {StartMethod::spawn, "process.start.forked"},
    {StartMethod::spawn, "process.start.registered"},  {StartMethod::forkserver, "process.start.planned"},
    {StartMethod::forkserver, "member.slot_taken"},    {StartMethod::forkserver, "forkserver.begun"},
    {StartMethod::forkserver, "forkserver.asked"},     {StartMethod::forkserver, "member.forked"},
    {StartMethod::forkserver, "process.start.forked"}, {StartMethod::forkserver, "process.start.registered"}};
INSTANTIATE_TEST_SUITE_P(EveryStep, ParentKilledAt, ::testing::ValuesIn(parent_cases), case_name);

// --- the OS refuses ------------------------------------------------------------------------------------------------

struct Refusal {
  StartMethod method;
  os::Call call;
  int error;
  const char* limit;  // what the message must name
};

class StartRefused : public ::testing::TestWithParam<Refusal> {};

TEST_P(StartRefused, Faults26_NamesTheLimitLeavesNothingHalfMadeAndCanBeRepeated) {
  Watchdog dog{60s};
  const std::size_t before = members();
  const int status = status_of([] {
    const Refusal& refusal = GetParam();
    const std::size_t members_before = members();
    Process child = get_context(refusal.method).process([] { ::_exit(9); });
    os::faults::fail(refusal.call, refusal.error);
    bool refused = false;
    try {
      child.start();
    } catch (const OsError& error) {
      refused = error.code().value() == refusal.error &&
                std::string_view(error.what()).find(refusal.limit) != std::string_view::npos;
      if (!refused) std::fprintf(stderr, "%s\n", error.what());
    }
    os::faults::clear();
    require(refused);
    require(!child.is_alive() && active_children().empty());
    require(members() == members_before);
    require(::waitpid(-1, nullptr, WNOHANG) == -1);  // no child, no zombie
    child.start();
    child.join();
    require(child.exitcode() == 9);
  });
  EXPECT_EQ(status, 0);
  await_members(before);
}

constexpr Refusal refusals[] = {{StartMethod::spawn, os::Call::fork, EAGAIN, "ulimit -u"},
                                {StartMethod::spawn, os::Call::memfd_create, EMFILE, "ulimit -n"},
                                {StartMethod::spawn, os::Call::socketpair, EMFILE, "ulimit -n"},
                                {StartMethod::spawn, os::Call::send, ENOMEM, "memory"},
                                {StartMethod::spawn, os::Call::pidfd_open, EMFILE, "ulimit -n"},
                                {StartMethod::forkserver, os::Call::fork, EAGAIN, "ulimit -u"},
                                {StartMethod::forkserver, os::Call::memfd_create, EMFILE, "ulimit -n"},
                                {StartMethod::forkserver, os::Call::socketpair, EMFILE, "ulimit -n"},
                                {StartMethod::forkserver, os::Call::send, ENOMEM, "memory"},
                                {StartMethod::forkserver, os::Call::pidfd_open, EMFILE, "ulimit -n"}};
INSTANTIATE_TEST_SUITE_P(EveryLimit, StartRefused, ::testing::ValuesIn(refusals), [](const auto& refusal) {
  return std::string(name_of(refusal.param.method)) + "_" + std::to_string(refusal.index);
});

}  // namespace
}  // namespace multiprocessing
