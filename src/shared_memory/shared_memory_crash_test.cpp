// Deaths at every step of creating, attaching and unlinking; deaths of programs and of guests.
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/shareable_list.hpp"
#include "shared_memory/crash_support.hpp"
#include "shared_memory/leave.hpp"

namespace multiprocessing {
namespace {

using testing::Child;
using testing::create;
using testing::dies_at;
using testing::NamesCrash;
using testing::Shared;
using testing::spin_until;

// --- died at each step ----------------------------------------------------------------------------------------------

TEST_F(NamesCrash, ACreatorKilledAtAnyStepLeavesNoBlockAndNoObstacle) {
  for (const char* step : {"name.memory_made", "name.file_made", "name.file_locked", "name.written"}) {
    EXPECT_TRUE(dies_at(
        step, 1, [] { return [] { create("frames"); }; }, Child::plain))
        << step;
    EXPECT_EQ(error_of([] { create("frames").unlink(); }), 0) << step;  // nobody has looked for it in between
    EXPECT_TRUE(entries().empty()) << step;
    EXPECT_TRUE(dies_at(
        step, 1, [] { return [] { create("frames"); }; }, Child::plain))
        << step;
    expect_that_all_works("frames");
  }
}

TEST_F(NamesCrash, ACreatorKilledWhileItClearsAwayADeadOnesNameLeavesNoObstacle) {
  for (int i = 0; i < 2; ++i) {
    Child dead = program("frames");
    kill(dead);
    EXPECT_EQ(entries().size(), 1U);
    EXPECT_TRUE(dies_at(
        "name.leftover_removed", 1, [] { return [] { create("frames"); }; }, Child::plain));
    expect_that_all_works("frames");
  }
}

TEST_F(NamesCrash, ACreatorOfAPersistentBlockKilledBeforeItHasItsNameLeavesNothing) {
  for (const char* step : {"name.file_made", "name.file_locked", "name.draft_written"}) {
    EXPECT_TRUE(dies_at(
        step, 1, [] { return [] { create("model", true); }; }, Child::plain))
        << step;
    EXPECT_EQ(entries().size(), 1U);  // until the next program of this user comes
    Child next{Child::plain, [&] { expect_that_all_works("model"); }};
    EXPECT_EQ(next.wait(), 0);
    EXPECT_TRUE(entries().empty()) << step;
  }
}

TEST_F(NamesCrash, APersistentBlockIsThereOnceItHasItsName) {
  EXPECT_TRUE(dies_at(
      "name.renamed", 1, [] { return [] { create("model", true); }; }, Child::plain));
  const SharedMemory found({.name = "model"});
  EXPECT_EQ(found.size(), 10'000U);
  found.unlink();
  expect_that_all_works("model");
}

TEST_F(NamesCrash, OneKilledWhileItAttachesHarmsNobody) {
  for (const char* step : {"name.found", "name.mapped"}) {
    Child dead = program("frames");
    EXPECT_TRUE(dies_at(
        step, 1, [] { return [] { SharedMemory({.name = "frames"}); }; }, Child::plain))
        << step;
    EXPECT_EQ(attach_error("frames"), 0) << step;
    kill(dead);
    expect_that_all_works("frames");
  }
}

TEST_F(NamesCrash, OneKilledWhileItUnlinksHasUnlinked) {
  const SharedMemory block = create("frames");
  EXPECT_TRUE(dies_at(
      "name.unlinked", 1, [&] { return [&] { block.unlink(); }; }, Child::plain));
  EXPECT_EQ(attach_error("frames"), ENOENT);
  const SharedMemory next = create("frames");
  EXPECT_EQ(attach_error("frames"), 0);
  block.span()[0] = std::byte{1};
  EXPECT_EQ(next.span()[0], std::byte{0});
}

TEST_F(NamesCrash, AListKeepsItsItemWhenOneIsKilledBeforeTheCommitAndHasTheNewOneAfterIt) {
  const ShareableList list({"before", 1}, {.name = "list"});
  const auto set = [&] { return [&] { ShareableList({.name = "list"}).set(0, "after"); }; };
  EXPECT_TRUE(dies_at("list.written", 1, set, Child::plain));
  EXPECT_EQ(list.get<std::string>(0), "before");
  EXPECT_TRUE(dies_at("list.committed", 1, set, Child::plain));
  EXPECT_EQ(list.get<std::string>(0), "after");
  list.set(0, "next");
  EXPECT_EQ(list.get<std::string>(0), "next");
}

TEST_F(NamesCrash, AListKilledWhileItIsMadeIsNoList) {
  for (const char* step : {"name.memory_made", "name.file_locked"}) {
    EXPECT_TRUE(dies_at(
        step, 1, [] { return [] {
                        ShareableList({1, 2}, {.name = "list"});
                      }; }, Child::plain));
    EXPECT_EQ(error_of([] { ShareableList({.name = "list"}); }), ENOENT);
  }
}

TEST_F(NamesCrash, ACreatorThatIsStoppedInTheMiddleKeepsOthersWaitingUntilItGoesOn) {
  Child slow{Child::plain, [] {
               os::steps::stop_at("name.file_made");
               create("slow");
               for (;;) ::pause();
             }};
  testing::wait_stopped(slow);
  std::thread goes_on([&] { slow.signal(SIGCONT); });
  const SharedMemory block = create("frames");
  goes_on.join();
  EXPECT_EQ(attach_error("frames"), 0);
}

// --- programs and guests ----------------------------------------------------------------------------------------------

TEST_F(NamesCrash, TheNameOfAProgramThatWasKilledIsFreeAtOnce) {
  Child dead = program("frames");
  EXPECT_EQ(attach_error("frames"), 0);
  EXPECT_EQ(error_of([] { create("frames"); }), EEXIST);
  kill(dead);
  expect_that_all_works("frames");
}

TEST_F(NamesCrash, AGuestKeepsTheMemoryOfAProgramThatWasKilledAndTheLastGuestClearsTheNameAway) {
  Child dead = program("frames");
  {
    const SharedMemory guest({.name = "frames"});
    kill(dead);
    EXPECT_EQ(guest.span()[0], std::byte{1});
    guest.span()[9'999] = std::byte{2};
    EXPECT_EQ(entries().size(), 1U);
  }
  EXPECT_TRUE(entries().empty());
}

TEST_F(NamesCrash, WithItsLastUserTheMemoryIsGoneWhoeverKilledThemAll) {
  Child dead = program("frames");
  const os::FileIdentity memory = memory_of("frames");
  std::vector<Child> guests;
  Shared<std::atomic<int>> ready;
  for (int i = 0; i < 3; ++i) {
    guests.emplace_back(Child::plain, [&] {
      const SharedMemory guest({.name = "frames"});
      ready->fetch_add(1);
      for (;;) ::pause();
    });
  }
  spin_until([&] { return *ready == 3; });
  EXPECT_GE(base::Fd(os::open_of_any_process(memory, 0)).get(), 0);
  dead.signal(SIGKILL);
  for (Child& guest : guests) guest.signal(SIGKILL);
  dead.wait();
  for (Child& guest : guests) guest.wait();
  EXPECT_EQ(os::open_of_any_process(memory, 0), -ENOENT);
  expect_that_all_works("frames");
}

TEST_F(NamesCrash, WhatAllProgramsLeftIsSweptByTheNextProgramThatUsesTheDirectory) {
  for (const char* name : {"a", "b", "c"}) {
    Child dead = program(name);
    kill(dead);
  }
  EXPECT_GE(entries().size(), 1U);
  Child next{Child::plain, [] { create("d").unlink(); }};
  EXPECT_EQ(next.wait(), 0);
  EXPECT_TRUE(entries().empty());
}

// The fork is of the program: it has what its parent had open, and attaching finds it there.
TEST_F(NamesCrash, AForkKeepsTheNameWhenItsParentWasKilled) {
  Shared<std::atomic<int>> fork_of_it;
  Child dead = program("frames", [&](const SharedMemory&) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      for (;;) ::pause();
    }
    *fork_of_it = pid;
  });
  kill(dead);
  EXPECT_EQ(attach_error("frames"), 0);
  EXPECT_EQ(SharedMemory({.name = "frames"}).span()[0], std::byte{1});
  EXPECT_EQ(error_of([] { create("frames"); }), EEXIST);
  const base::Fd last(os::pidfd_open(*fork_of_it));
  os::pidfd_signal(last.get(), SIGKILL);
  EXPECT_TRUE(os::wait_ended(last.get(), os::Deadline::never()));
  expect_that_all_works("frames");
}

// Whom the handle was sent to is of the program too, under a descriptor of its own number.
TEST_F(NamesCrash, WhoWasGivenTheHandleKeepsTheNameWhenTheCreatorWasKilled) {
  struct Board {
    std::atomic<int> stage{0};
    std::size_t bytes = 0;
    char message[4096];
  };
  Shared<Board> board;
  Child receiver{Child::plain, [&] {
                   spin_until([&] { return board->stage == 1; });
                   codec::Decoder in(std::as_bytes(std::span(board->message, board->bytes)));
                   const auto block = codec::decode<SharedMemory>(in);
                   board->stage = 2;
                   spin_until([&] { return board->stage == 3; });
                   block.unlink();
                 }};
  Child dead = program("frames", [&](const SharedMemory& block) {
    codec::Encoder out;
    codec::encode(out, block);
    board->bytes = out.bytes().size();
    std::memcpy(board->message, out.bytes().data(), board->bytes);
    board->stage = 1;
  });
  spin_until([&] { return board->stage == 2; });
  kill(dead);
  EXPECT_EQ(attach_error("frames"), 0);
  board->stage = 3;
  EXPECT_EQ(receiver.wait(), 0);
  expect_that_all_works("frames");
}

TEST_F(NamesCrash, AProgramThatHasClosedAllDescriptorsGoesOnAndItsNameIsClearlyGone) {
  Shared<std::atomic<int>> stage;
  Child program{Child::plain, [&] {
                  const SharedMemory block = create("frames");
                  for (int fd = 3; fd < 1'000; ++fd) ::close(fd);
                  const base::Fd other(::open("/dev/null", O_RDWR | O_CLOEXEC));
                  *stage = 1;
                  spin_until([&] { return *stage == 2; });
                  block.span()[1] = std::byte{1};
                  MP_REQUIRE(error_of([&] { block.unlink(); }) == ENOENT);
                  shared_memory::leave();
                  MP_REQUIRE(::fcntl(other.get(), F_GETFD) >= 0);  // which may have a number that was ours
                }};
  spin_until([&] { return *stage == 1; });
  EXPECT_EQ(attach_error("frames"), ENOENT);
  *stage = 2;
  EXPECT_EQ(program.wait(), 0);
  expect_that_all_works("frames");
}

}  // namespace
}  // namespace multiprocessing
