// Deaths at every step of creating, attaching and unlinking; deaths of programs and of guests; storms of all of it.
#include <fcntl.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <random>
#include <thread>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/shareable_list.hpp"
#include "os/files.hpp"
#include "os/programs.hpp"
#include "shared_memory/entry.hpp"
#include "shared_memory/leave.hpp"
#include "shared_memory/test_support.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"

namespace multiprocessing {
namespace {

using testing::Child;
using testing::dies_at;
using testing::Shared;
using testing::spin_until;

SharedMemory create(const std::string& name, bool persist = false) {
  return SharedMemory({.name = name, .create = true, .size = 10'000, .persist = persist});
}

class NamesCrash : public testing::NamesTest {
 protected:
  static int attach_error(const std::string& name) {
    return error_of([&] { SharedMemory({.name = name}); });
  }

  // The memory behind a name, which is there as long as any process has it.
  [[nodiscard]] os::FileIdentity memory_of(const std::string& name) const {
    const base::Fd file(::open((directory() / name).c_str(), O_RDONLY | O_CLOEXEC));
    const auto record = shared_memory::read_record(file.get());
    return record ? record->memory() : os::FileIdentity{};
  }

  // A program that has the name, until it is killed.
  static Child program(const std::string& name, const std::function<void(const SharedMemory&)>& more = {}) {
    Shared<std::atomic<bool>> ready;
    Child child{Child::plain, [&] {
                  const SharedMemory block = create(name);
                  block.span()[0] = std::byte{1};
                  if (more) more(block);
                  *ready = true;
                  for (;;) ::pause();
                }};
    spin_until([&] { return ready->load(); });
    return child;
  }
  static void kill(Child& child) {
    child.signal(SIGKILL);
    EXPECT_EQ(child.wait(), -SIGKILL);
  }

  void expect_that_all_works(const std::string& name) {
    EXPECT_EQ(attach_error(name), ENOENT);
    {
      const SharedMemory block = create(name);
      EXPECT_EQ(attach_error(name), 0);
      block.unlink();
    }
    EXPECT_EQ(attach_error(name), ENOENT);
    EXPECT_TRUE(entries().empty()) << entries().front();
  }
};

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

// --- damaged entries --------------------------------------------------------------------------------------------------

TEST_F(NamesCrash, ADamagedEntryIsAnErrorAndNoCrashAndItsProgramsDeathFreesTheName) {
  std::mt19937 random(25);
  for (int round = 0; round < 200; ++round) {
    {
      Child dead = program("frames");
      const base::Fd file(::open((directory() / "frames").c_str(), O_RDWR | O_CLOEXEC));
      if (round % 4 == 0) {
        ASSERT_EQ(::ftruncate(file.get(), static_cast<off_t>(random() % sizeof(shared_memory::EntryRecord))), 0);
      } else {
        const auto byte = static_cast<unsigned char>(random());
        unsigned char before = 0;
        const auto at = static_cast<off_t>(random() % sizeof(shared_memory::EntryRecord));
        ASSERT_EQ(::pread(file.get(), &before, 1, at), 1);
        if (before == byte) continue;
        ASSERT_EQ(::pwrite(file.get(), &byte, 1, at), 1);
      }
      EXPECT_THROW(SharedMemory({.name = "frames"}), Error);
      EXPECT_EQ(error_of([] { create("frames"); }), EEXIST);
      kill(dead);
    }
    expect_that_all_works("frames");
  }
}

// An entry that names something else, with the right check sum: what an attacker of this very user could write, or a disk
// give back after a restart.
TEST_F(NamesCrash, AnEntryThatNamesOtherFilesLeadsNowhere) {
  Child dead = program("frames");
  const base::Fd file(::open((directory() / "frames").c_str(), O_RDWR | O_CLOEXEC));
  const shared_memory::EntryRecord good = *shared_memory::read_record(file.get());
  const base::Fd plain(::open((directory() / "plain").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const auto with = [&](auto change) {
    shared_memory::EntryRecord record = good;
    change(record);
    ASSERT_EQ(shared_memory::write_record(file.get(), record), 0);
    EXPECT_THROW(SharedMemory({.name = "frames"}), Error);
  };
  with([&](auto& record) { record.size = 1 << 20; });
  with([&](auto& record) { record.size = ~std::uint64_t{0}; });
  with([&](auto& record) { record.memory_inode += 1'000'000; });
  with([&](auto& record) { record.boot += 1; });
  with([&](auto& record) { record.memory_inode = 0; });  // says that it is persistent
  with([&](auto& record) {
    const os::FileIdentity other = os::identity_of(plain.get());
    record.memory_device = other.device;
    record.memory_inode = other.inode;
    record.pid = static_cast<std::uint32_t>(::getpid());
    record.fd = static_cast<std::uint32_t>(plain.get());
  });
  ASSERT_EQ(shared_memory::write_record(file.get(), good), 0);
  EXPECT_EQ(attach_error("frames"), 0);
}

// --- all at once --------------------------------------------------------------------------------------------------------

// Processes create, attach and unlink three names, and are killed at random.  Whoever attaches finds a whole list; at the
// end nothing is left that is in anybody's way.
TEST_F(NamesCrash, AStormOfCreatingAttachingUnlinkingAndKillingHarmsNobody) {
  struct Counts {
    std::atomic<long> created{0};
    std::atomic<long> attached{0};
    std::atomic<long> exists{0};
    std::atomic<long> missing{0};
    std::atomic<long> wrong{0};
  };
  Shared<Counts> counts;
  const auto work = [&](unsigned seed) {
    std::mt19937 random(seed);
    std::optional<ShareableList> mine[3];
    for (;;) {
      const std::size_t which = random() % 3;
      const std::string name = "storm" + std::to_string(which);
      try {
        if (mine[which]) {
          mine[which]->unlink();
          mine[which].reset();
        } else if (random() % 2 == 0) {
          const auto value = static_cast<std::int64_t>(random());
          mine[which].emplace(std::vector<ShareableItem>{value, value, "text"}, ShareableListOptions{.name = name});
          counts->created.fetch_add(1);
        } else {
          const ShareableList list({.name = name});
          const bool whole = list.size() == 3 && list.get(0) == list.get(1) && list.get<std::string>(2) == "text";
          counts->wrong.fetch_add(whole ? 0 : 1);
          counts->attached.fetch_add(1);
        }
      } catch (const OsError& error) {
        const int number = error.code().value();
        if (number == EEXIST) {
          counts->exists.fetch_add(1);
        } else if (number == ENOENT) {
          counts->missing.fetch_add(1);
          mine[which].reset();
        } else {
          std::fprintf(stderr, "storm: %s\n", error.what());
          counts->wrong.fetch_add(1);
        }
      } catch (const std::exception& error) {
        std::fprintf(stderr, "storm: %s\n", error.what());
        counts->wrong.fetch_add(1);
      }
    }
  };
  std::mt19937 random(5);
  std::vector<std::unique_ptr<Child>> crew;
  unsigned seed = 0;
  const auto hire = [&] { return std::make_unique<Child>(Child::plain, [&work, s = ++seed] { work(s); }); };
  for (int i = 0; i < 4; ++i) crew.push_back(hire());
  for (int kills = 0; kills < 300 || counts->attached < 1'000 || counts->created < 1'000; ++kills) {
    const long goal = counts->created + counts->missing + counts->exists + static_cast<long>(random() % 50);
    spin_until([&] { return counts->created + counts->missing + counts->exists >= goal; });
    auto& victim = crew[random() % crew.size()];
    kill(*victim);
    victim = hire();
  }
  for (const auto& child : crew) kill(*child);
  EXPECT_EQ(counts->wrong, 0);
  Child next{Child::plain, [&] { expect_that_all_works("storm0"); }};
  EXPECT_EQ(next.wait(), 0);
  EXPECT_TRUE(entries().empty());
}

}  // namespace
}  // namespace multiprocessing
