// Entries that somebody has damaged, and storms of creating, attaching, unlinking and killing.
#include <fcntl.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>

#include "multiprocessing/shareable_list.hpp"
#include "shared_memory/crash_support.hpp"

namespace multiprocessing {
namespace {

using testing::Child;
using testing::NamesCrash;
using testing::Shared;
using testing::spin_until;

class HostileNames : public NamesCrash {};

TEST_F(HostileNames, ADamagedEntryIsAnErrorAndNoCrashAndItsProgramsDeathFreesTheName) {
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
      EXPECT_EQ(error_of([] { testing::create("frames"); }), EEXIST);
      kill(dead);
    }
    expect_that_all_works("frames");
  }
}

// An entry that names something else, with the right check sum: what an attacker of this very user could write, or a disk
// give back after a restart.
TEST_F(HostileNames, AnEntryThatNamesOtherFilesLeadsNowhere) {
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
TEST_F(HostileNames, AStormOfCreatingAttachingUnlinkingAndKillingHarmsNobody) {
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
