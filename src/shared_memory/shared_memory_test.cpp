#include "multiprocessing/shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <thread>

#include "multiprocessing/detail/archive.hpp"
#include "shared_memory/entry.hpp"
#include "shared_memory/test_support.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"

namespace multiprocessing {
namespace {

using testing::Child;
using testing::Shared;
using testing::spin_until;

class SharedMemoryTest : public testing::NamesTest {
 protected:
  static SharedMemory create(const std::string& name, std::size_t size = 100) {
    return SharedMemory({.name = name, .create = true, .size = size});
  }
  static int attach_error(const std::string& name) {
    return error_of([&] { SharedMemory({.name = name}); });
  }
};

TEST_F(SharedMemoryTest, WhoAttachesByNameHasTheSameMemory) {
  const SharedMemory block = create("frames", 1 << 20);
  EXPECT_EQ(block.size(), 1U << 20);
  block.span()[0] = std::byte{42};
  Child other{Child::plain, [] {
                const SharedMemory same({.name = "frames"});
                MP_REQUIRE(same.size() == 1 << 20 && same.span()[0] == std::byte{42} && same.span()[1] == std::byte{0});
                same.span()[same.size() - 1] = std::byte{43};
              }};
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(block.span()[block.size() - 1], std::byte{43});
}

TEST_F(SharedMemoryTest, AProgramStartedBeforeTheBlockWasMadeAttachesToIt) {
  Shared<std::atomic<int>> stage;
  Child stranger{Child::plain, [&] {
                   spin_until([&] { return *stage == 1; });
                   MP_REQUIRE(SharedMemory({.name = "frames"}).span()[5] == std::byte{7});
                 }};
  const SharedMemory block = create("frames");
  block.span()[5] = std::byte{7};
  *stage = 1;
  EXPECT_EQ(stranger.wait(), 0);
}

TEST_F(SharedMemoryTest, ItsSizeIsExactlyWhatWasAskedFor) {
  for (const std::size_t size : {1UL, 4095UL, 4096UL, 4097UL, 100'001UL}) {
    const SharedMemory block({.create = true, .size = size});
    EXPECT_EQ(block.span().size(), size);
    EXPECT_EQ(SharedMemory({.name = block.name()}).span().size(), size);
    block.unlink();
  }
}

TEST_F(SharedMemoryTest, ANameThatIsThereIsNotCreatedAgain) {
  const SharedMemory block = create("frames");
  EXPECT_EQ(error_of([] { create("frames"); }), EEXIST);
  block.span()[0] = std::byte{1};
  EXPECT_EQ(SharedMemory({.name = "frames"}).span()[0], std::byte{1});  // and is as it was
}

TEST_F(SharedMemoryTest, ANameThatIsNotThereIsToldByItsError) {
  try {
    SharedMemory({.name = "frames"});
    FAIL();
  } catch (const OsError& error) {
    EXPECT_EQ(error.code().value(), ENOENT);
    EXPECT_NE(std::string(error.what()).find("'frames'"), std::string::npos) << error.what();
  }
}

TEST_F(SharedMemoryTest, WithoutANameItGetsOneOfItsOwn) {
  const SharedMemory a({.create = true, .size = 1});
  const SharedMemory b({.create = true, .size = 1});
  EXPECT_NE(a.name(), b.name());
  EXPECT_EQ(SharedMemory({.name = a.name()}).size(), 1U);
}

TEST_F(SharedMemoryTest, NamesThatCanBeNoneAreRefused) {
  for (const std::string& name : {std::string("a/b"), std::string("/a"), std::string(".a"), std::string(".."),
                                  std::string(201, 'x'), std::string("a\0b", 3)}) {
    EXPECT_THROW(create(name), std::invalid_argument) << name;
    EXPECT_THROW(SharedMemory({.name = name}), std::invalid_argument) << name;
  }
  EXPECT_THROW(SharedMemory({.name = ""}), std::invalid_argument);
  EXPECT_EQ(create(std::string(200, 'x')).name().size(), 200U);
  EXPECT_EQ(create("Gr\xc3\xb6\xc3\x9f"
                   "e 1")
                .name(),
            "Gr\xc3\xb6\xc3\x9f"
            "e 1");
}

TEST_F(SharedMemoryTest, ASizeOfNothingAndAModeForOthersAreRefused) {
  EXPECT_THROW(create("frames", 0), std::invalid_argument);
  EXPECT_THROW(SharedMemory({.name = "frames", .create = true, .size = 1, .mode = 0644}), std::invalid_argument);
  EXPECT_THROW(SharedMemory({.name = "frames", .persist = true}), std::invalid_argument);
  EXPECT_TRUE(entries().empty());
}

TEST_F(SharedMemoryTest, UnlinkTakesTheNameAndNotTheMemory) {
  const SharedMemory block = create("frames");
  const SharedMemory same({.name = "frames"});
  block.unlink();
  EXPECT_EQ(attach_error("frames"), ENOENT);
  EXPECT_TRUE(entries().empty());
  block.span()[0] = std::byte{9};
  EXPECT_EQ(same.span()[0], std::byte{9});
  EXPECT_EQ(error_of([&] { block.unlink(); }), ENOENT);
}

TEST_F(SharedMemoryTest, UnlinkNeverTakesANameThatIsAnotherBlocksNow) {
  const SharedMemory first = create("frames");
  first.unlink();
  const SharedMemory second = create("frames");
  EXPECT_EQ(error_of([&] { first.unlink(); }), ENOENT);
  EXPECT_EQ(attach_error("frames"), 0);
}

TEST_F(SharedMemoryTest, AGuestUnlinksNothing) {
  Shared<std::atomic<int>> stage;
  Child guest{Child::plain, [&] {
                spin_until([&] { return *stage == 1; });
                const SharedMemory same({.name = "frames"});
                try {
                  same.unlink();
                } catch (const std::logic_error&) {
                  std::exit(0);  // its exit handlers take nothing either
                }
                ::_exit(1);
              }};
  const SharedMemory block = create("frames");
  *stage = 1;
  EXPECT_EQ(guest.wait(), 0);
  EXPECT_EQ(attach_error("frames"), 0);
}

TEST_F(SharedMemoryTest, AttachedByNameInAProcessOfItsProgramItIsNoGuests) {
  const SharedMemory block = create("frames");
  SharedMemory({.name = "frames"}).unlink();
  EXPECT_EQ(attach_error("frames"), ENOENT);
}

TEST_F(SharedMemoryTest, CloseEndsTheAccessForAllCopiesAndKeepsTheBlock) {
  const SharedMemory block = create("frames");
  const SharedMemory copy = block;
  block.span()[3] = std::byte{3};
  copy.close();
  EXPECT_THROW(static_cast<void>(block.span()), std::logic_error);
  copy.close();
  EXPECT_EQ(block.name(), "frames");
  EXPECT_EQ(SharedMemory({.name = "frames"}).span()[3], std::byte{3});
  block.unlink();
  EXPECT_EQ(attach_error("frames"), ENOENT);
}

TEST_F(SharedMemoryTest, TheNameOutlivesTheObjectThatMadeIt) {
  create("frames").span()[3] = std::byte{3};
  EXPECT_EQ(SharedMemory({.name = "frames"}).span()[3], std::byte{3});
}

TEST_F(SharedMemoryTest, TheNameGoesWithTheProgramThatMadeIt) {
  Child program{Child::plain, [] {
                  static_cast<void>(create("frames"));
                  std::exit(0);
                }};
  EXPECT_EQ(program.wait(), 0);
  EXPECT_TRUE(entries().empty());
}

TEST_F(SharedMemoryTest, AForkThatEndsLeavesTheBlockOfItsParent) {
  const SharedMemory block = create("frames");
  for (const Child::Making making : {Child::plain, Child::member}) {
    Child child{making, [&] {
                  block.span()[0] = std::byte{1};
                  std::exit(0);
                }};
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(attach_error("frames"), 0);
  }
}

TEST_F(SharedMemoryTest, AForkMayUnlinkWhatItsParentMade) {
  const SharedMemory block = create("frames");
  Child child{Child::plain, [&] { block.unlink(); }};
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(attach_error("frames"), ENOENT);
}

TEST_F(SharedMemoryTest, APersistentBlockOutlivesItsProgramUntilAnyoneUnlinksIt) {
  Child program{Child::plain, [] {
                  const SharedMemory block({.name = "model", .create = true, .size = 5'000, .persist = true});
                  block.span()[4'999] = std::byte{5};
                  std::exit(0);
                }};
  EXPECT_EQ(program.wait(), 0);
  EXPECT_EQ(error_of([] { create("model"); }), EEXIST);
  const SharedMemory found({.name = "model"});
  EXPECT_EQ(found.size(), 5'000U);
  EXPECT_EQ(found.span()[4'999], std::byte{5});
  EXPECT_EQ(found.span()[0], std::byte{0});
  found.unlink();
  EXPECT_EQ(attach_error("model"), ENOENT);
  EXPECT_TRUE(entries().empty());
}

TEST_F(SharedMemoryTest, ItTravelsInMessagesByItsName) {
  const SharedMemory block = create("frames");
  codec::Encoder out;
  codec::encode(out, block);
  codec::Decoder in(out.bytes());
  const auto same = codec::decode<SharedMemory>(in);
  same.span()[1] = std::byte{1};
  EXPECT_EQ(block.span()[1], std::byte{1});
}

TEST_F(SharedMemoryTest, OneThatWasUnlinkedOnItsWayDoesNotArriveAsAnother) {
  const SharedMemory block = create("frames");
  codec::Encoder out;
  codec::encode(out, block);
  block.unlink();
  codec::Decoder in(out.bytes());
  EXPECT_EQ(error_of([&] { codec::decode<SharedMemory>(in); }), ENOENT);
  const SharedMemory another = create("frames");
  codec::Decoder again(out.bytes());
  EXPECT_EQ(error_of([&] { codec::decode<SharedMemory>(again); }), ENOENT);
}

TEST_F(SharedMemoryTest, NobodyCanChangeItsSize) {
  const SharedMemory block = create("frames", 10'000);
  const int file = ::open((directory() / "frames").c_str(), O_RDONLY | O_CLOEXEC);
  const auto record = shared_memory::read_record(file);
  ::close(file);
  ASSERT_TRUE(record);
  EXPECT_EQ(::ftruncate(static_cast<int>(record->fd), 0), -1);
  EXPECT_EQ(::ftruncate(static_cast<int>(record->fd), 1 << 20), -1);
}

TEST_F(SharedMemoryTest, ADirectoryThatOthersCouldLookIntoIsRefused) {
  ::chmod(directory().c_str(), 0755);
  EXPECT_EQ(error_of([] { create("frames"); }), EPERM);
  EXPECT_EQ(attach_error("frames"), EPERM);
  ::chmod(directory().c_str(), 0700);
  EXPECT_EQ(::chown(directory().c_str(), 12'345, -1), ::geteuid() == 0 ? 0 : -1);
  if (::geteuid() == 0) {
    EXPECT_EQ(error_of([] { create("frames"); }), EPERM);
    EXPECT_EQ(::chown(directory().c_str(), 0, -1), 0);
  }
}

TEST_F(SharedMemoryTest, ASymbolicLinkInPlaceOfTheDirectoryOrOfAnEntryIsNotFollowed) {
  const auto link = directory() / "link";
  std::filesystem::create_symlink(directory() / "elsewhere", link);
  EXPECT_EQ(error_of([] { create("link"); }), EEXIST);
  EXPECT_NE(attach_error("link"), 0);
  EXPECT_FALSE(std::filesystem::exists(directory() / "elsewhere"));
  std::filesystem::create_directory_symlink(directory(), directory() / "linked");
  ::setenv("MULTIPROCESSING_RUNTIME_DIR", (directory() / "linked").c_str(), 1);
  EXPECT_NE(error_of([] { create("frames"); }), 0);
}

TEST_F(SharedMemoryTest, AFifoOrADirectoryInPlaceOfAnEntryIsAnErrorAndNoHang) {
  ASSERT_EQ(::mkfifo((directory() / "fifo").c_str(), 0600), 0);
  std::filesystem::create_directory(directory() / "folder");
  for (const char* name : {"fifo", "folder"}) {
    EXPECT_EQ(attach_error(name), EINVAL);
    EXPECT_EQ(error_of([&] { create(name); }), EEXIST);
  }
}

TEST_F(SharedMemoryTest, TheDirectoryThatItMadeGoesWithTheLastName) {
  ::unsetenv("MULTIPROCESSING_RUNTIME_DIR");
  ::setenv("XDG_RUNTIME_DIR", directory().c_str(), 1);
  EXPECT_EQ(attach_error("frames"), ENOENT);
  EXPECT_TRUE(entries().empty());
  const SharedMemory a = create("a");
  const SharedMemory b = create("b");
  EXPECT_EQ(entries(), std::vector<std::string>{"multiprocessing"});
  a.unlink();
  EXPECT_EQ(attach_error("b"), 0);
  b.unlink();
  EXPECT_TRUE(entries().empty());
  create("c").unlink();  // and comes again
  EXPECT_TRUE(entries().empty());
  ::unsetenv("XDG_RUNTIME_DIR");
}

// Between one program's making and opening it, too.
TEST_F(SharedMemoryTest, TheDirectoryMayComeAndGoWithTheNamesOfOtherPrograms) {
  ::unsetenv("MULTIPROCESSING_RUNTIME_DIR");
  ::setenv("XDG_RUNTIME_DIR", directory().c_str(), 1);
  std::vector<Child> programs;
  for (int i = 0; i < 4; ++i) {
    programs.emplace_back(Child::plain, [i] {
      for (int round = 0; round < 300; ++round) create("program" + std::to_string(i), 10).unlink();
    });
  }
  for (Child& program : programs) EXPECT_EQ(program.wait(), 0);
  EXPECT_TRUE(entries().empty());
  ::unsetenv("XDG_RUNTIME_DIR");
}

TEST_F(SharedMemoryTest, AProgramThatHidesFromDebuggersIsAClearErrorForOtherUsersThanRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "it takes two users to show this";
  ASSERT_EQ(::chown(directory().c_str(), 12'345, 12'345), 0);
  Shared<std::atomic<int>> stage;
  Child hidden{Child::plain, [&] {
                 MP_REQUIRE(::setresgid(12'345, 12'345, 12'345) == 0 && ::setresuid(12'345, 12'345, 12'345) == 0);
                 MP_REQUIRE(::prctl(PR_SET_DUMPABLE, 1) == 0);
                 const SharedMemory block = create("frames");
                 const SharedMemory open({.name = "frames"});
                 MP_REQUIRE(::prctl(PR_SET_DUMPABLE, 0) == 0);
                 *stage = 1;
                 spin_until([&] { return *stage == 2; });
               }};
  Child guest{Child::plain, [&] {
                MP_REQUIRE(::setresgid(12'345, 12'345, 12'345) == 0 && ::setresuid(12'345, 12'345, 12'345) == 0);
                spin_until([&] { return *stage == 1; });
                MP_REQUIRE(attach_error("frames") == EACCES);
                *stage = 2;
              }};
  EXPECT_EQ(guest.wait(), 0);
  *stage = 2;
  EXPECT_EQ(hidden.wait(), 0);
}

TEST_F(SharedMemoryTest, ThreadsAndForksThatComeBetweenHarmNobody) {
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      const std::string name = "thread" + std::to_string(i);
      while (!over) {
        const SharedMemory block = create(name, 1'000);
        block.span()[0] = std::byte{1};
        if (SharedMemory({.name = name}).span()[0] != std::byte{1}) std::abort();
        block.unlink();
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    const std::string name = "child" + std::to_string(i);
    Child child{Child::plain, [&] { create(name, 10).unlink(); }};
    EXPECT_EQ(child.wait(), 0);
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(entries().empty());
}

}  // namespace
}  // namespace multiprocessing
