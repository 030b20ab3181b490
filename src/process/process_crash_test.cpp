// The table of bootstrap.hpp: killed at each step, the others see what it says.  And FAULTS 26: the OS refuses.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "memory/family.hpp"
#include "multiprocessing/process.hpp"
#include "os/faults.hpp"
#include "process/process_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Shared;
using testing::Signal;
using testing::Watchdog;

std::size_t members() {
  memory::collect_orphans();
  return memory::stats().members;
}

// A process that is ending closes its descriptors before it counts as dead: it may take a moment until the orphans can
// be collected.  The watchdog ends what never comes.
void await_members(std::size_t expected) {
  while (members() != expected) ::sched_yield();
}

std::string test_name(const ::testing::TestParamInfo<const char*>& info) {
  std::string name;
  for (const char c : std::string_view(info.param)) name.push_back(c == '.' ? '_' : c);
  return name;
}

// --- the child dies ------------------------------------------------------------------------------------------------

class ChildKilledAt : public ::testing::TestWithParam<const char*> {};

TEST_P(ChildKilledAt, IsADeadChildLikeAnyOther) {
  Watchdog dog{60s};
  const std::size_t before = members();
  for (const bool daemon : {false, true}) {
    Process process({.daemon = daemon}, [] {});
    os::steps::kill_at(GetParam());
    process.start();
    os::steps::clear();
    process.join();
    EXPECT_EQ(process.exitcode(), -SIGKILL);
  }
  EXPECT_EQ(memory::stats().members, before) << "the arena still counts the dead";
  Process next([] { ::_exit(9); });
  next.start();
  next.join();
  EXPECT_EQ(next.exitcode(), 9);
}

INSTANTIATE_TEST_SUITE_P(EveryStep, ChildKilledAt,
                         ::testing::Values("member.child_forked", "process.child.forked", "process.child.entered",
                                           "process.child.finished", "process.child.flushed"),
                         test_name);

// --- the parent dies -----------------------------------------------------------------------------------------------

// A parent, child of the test so that it is of the test's family, that dies at `step` of starting a process.
int status_of_parent_dying_at(const char* step, bool daemon, Signal& child_ran) {
  Process parent([&, daemon] {
    Process child({.daemon = daemon}, [&] {
      os::steps::clear();
      child_ran.set();
      if (current_process().daemon()) {
        for (;;) ::pause();
      }
    });
    os::steps::kill_at(step);
    child.start();
    child.join();
  });
  parent.start();
  parent.join();
  return parent.exitcode().value_or(1000);
}

// Sees the end of file when every process started since, and not the test itself, is gone.
template <class F>
void expect_nobody_left(F body) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const base::Fd read_end(ends[0]);
  base::Fd write_end(ends[1]);
  body();
  write_end.reset();
  char byte = 0;
  EXPECT_EQ(::read(read_end.get(), &byte, 1), 0);
}

class ParentKilledAt : public ::testing::TestWithParam<const char*> {};

TEST_P(ParentKilledAt, LeavesNoDaemonAndNoMember) {
  Watchdog dog{60s};
  const std::size_t before = members();
  expect_nobody_left([] {
    Signal child_ran;
    EXPECT_EQ(status_of_parent_dying_at(GetParam(), true, child_ran), -SIGKILL);
  });
  await_members(before);
}

TEST_P(ParentKilledAt, LetsANonDaemonRunToItsEndOrNotBeginAtAll) {
  Watchdog dog{60s};
  const std::size_t before = members();
  Signal child_ran;
  expect_nobody_left([&] { EXPECT_EQ(status_of_parent_dying_at(GetParam(), false, child_ran), -SIGKILL); });
  const bool was_started = std::string_view(GetParam()).rfind("process.start.", 0) == 0 &&
                           std::string_view(GetParam()) != "process.start.planned";
  EXPECT_EQ(child_ran.is_set(), was_started);
  await_members(before);
}

INSTANTIATE_TEST_SUITE_P(EveryStep, ParentKilledAt,
                         ::testing::Values("process.start.planned", "member.slot_taken", "member.forked",
                                           "member.before_gate", "process.start.forked", "process.start.registered"),
                         test_name);

TEST(ParentKilledWhileReaping, LeavesAMemberThatIsCollected) {
  Watchdog dog{60s};
  const std::size_t before = members();
  Process parent([] {
    Process child([] {});
    child.start();
    os::steps::kill_at("process.reaped");
    child.join();
  });
  parent.start();
  parent.join();
  EXPECT_EQ(parent.exitcode(), -SIGKILL);
  await_members(before);
}

// --- the OS refuses ------------------------------------------------------------------------------------------------

struct Refusal {
  os::Call call;
  int error;
  const char* limit;  // what the message must name
};

class StartRefused : public ::testing::TestWithParam<Refusal> {};

TEST_P(StartRefused, Faults26_NamesTheLimitLeavesNothingHalfMadeAndCanBeRepeated) {
  Watchdog dog{60s};
  const std::size_t before = members();
  Process process([] { ::_exit(9); });
  os::faults::fail(GetParam().call, GetParam().error);
  try {
    process.start();
    ADD_FAILURE() << "started all the same";
  } catch (const OsError& error) {
    EXPECT_EQ(error.code().value(), GetParam().error);
    EXPECT_NE(std::string_view(error.what()).find(GetParam().limit), std::string_view::npos) << error.what();
  }
  os::faults::clear();
  EXPECT_FALSE(process.is_alive());
  EXPECT_TRUE(active_children().empty());
  EXPECT_EQ(memory::stats().members, before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "an unreaped child";
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 9);
}

INSTANTIATE_TEST_SUITE_P(EveryLimit, StartRefused,
                         ::testing::Values(Refusal{os::Call::fork, EAGAIN, "ulimit -u"},
                                           Refusal{os::Call::fork, ENOMEM, "memory"},
                                           Refusal{os::Call::pidfd_open, EMFILE, "ulimit -n"},
                                           Refusal{os::Call::pidfd_open, ENFILE, "file-max"}),
                         [](const auto& refusal) { return "Refusal" + std::to_string(refusal.index); });

TEST(JoinUnderFaults, OutlastsFailingPolls) {
  Watchdog dog{60s};
  Process process([] {});
  process.start();
  os::faults::fail(os::Call::poll, ENOMEM, 0, 5);
  process.join();
  os::faults::clear();
  EXPECT_EQ(process.exitcode(), 0);
}

}  // namespace
}  // namespace multiprocessing
