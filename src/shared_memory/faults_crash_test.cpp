// FAULTS 25: /dev/shm small or read-only, memory full.  And every other system call that fails: an error that names the
// block, and nothing half made.
#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "multiprocessing/shareable_list.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "shared_memory/test_support.hpp"
#include "support/crash.hpp"
#include "support/sanitizers.hpp"

namespace multiprocessing {
namespace {

using os::Call;
using testing::Child;

constexpr int skipped = 77;

class NamesFaults : public testing::NamesTest {
 protected:
  static int open_descriptors() {
    DIR* folder = ::opendir("/proc/self/fd");
    int count = 0;
    while (::readdir(folder) != nullptr) ++count;
    ::closedir(folder);
    return count;
  }
  static SharedMemory create(bool persist = false, std::size_t size = 100'000) {
    return SharedMemory({.name = "frames", .create = true, .size = size, .persist = persist});
  }
  // What it says; empty: it works.
  template <class F>
  static std::string text_of(int error, F&& f) {
    try {
      f();
    } catch (const OsError& caught) {
      EXPECT_EQ(caught.code().value(), error) << caught.what();
      return caught.what();
    }
    return "";
  }
};

TEST_F(NamesFaults, Faults25_WhereDevShmIsSmallOrReadOnlyNamedMemoryOfAnySizeWorks) {
  for (const unsigned long flags : {0UL, static_cast<unsigned long>(MS_RDONLY)}) {
    Child child{Child::plain, [flags] {
                  if (::unshare(CLONE_NEWNS) != 0 ||
                      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                      ::mount("none", "/dev/shm", "tmpfs", flags, "size=64k") != 0) {
                    ::_exit(skipped);
                  }
                  for (const std::size_t size : {std::size_t{1}, std::size_t{1} << 20, std::size_t{100} << 20}) {
                    const SharedMemory block = create(false, size);
                    std::memset(block.span().data(), 1, size);
                    MP_REQUIRE(SharedMemory({.name = "frames"}).span()[size - 1] == std::byte{1});
                    block.unlink();
                  }
                }};
    const int status = child.wait();
    if (status == skipped) GTEST_SKIP() << "this program may not mount";
    EXPECT_EQ(status, 0);
  }
}

TEST_F(NamesFaults, Faults25_MoreMemoryThanThereIsIsAnErrorThatSaysHowMuchThereIs) {
  for (const std::size_t size : {std::size_t{1} << 45, std::size_t{1} << 62}) {
    const std::string text = text_of(ENOMEM, [&] { create(false, size); });
    EXPECT_NE(text.find("'frames'"), std::string::npos) << text;
  }
  EXPECT_NE(text_of(ENOMEM, [&] { create(false, std::size_t{1} << 45); }).find("there are "), std::string::npos);
  EXPECT_TRUE(entries().empty());
}

TEST_F(NamesFaults, Faults25_MemoryThatIsUsedUpIsAnErrorAtTheCreationAndNothingIsLeft) {
  for (const bool persist : {false, true}) {
    for (const int error : {ENOMEM, ENOSPC}) {
      const int descriptors = open_descriptors();
      os::faults::fail(Call::fallocate, error);
      const std::string text = text_of(error, [&] { create(persist); });
      EXPECT_NE(text.find("allocate shared memory 'frames'"), std::string::npos) << text;
      EXPECT_TRUE(entries().empty());
      EXPECT_EQ(open_descriptors(), descriptors);
    }
  }
  create().unlink();
}

// A full file system: a persistent block is refused as a whole, and so is an entry of 64 bytes.
TEST_F(NamesFaults, Faults25_AFullFileSystemIsAClearErrorAndNeverABusError) {
  Child child{Child::plain, [&] {
                if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                    ::mount("none", directory().c_str(), "tmpfs", 0, "size=64k,mode=0700") != 0) {
                  ::_exit(skipped);
                }
                MP_REQUIRE(!text_of(ENOSPC, [] { create(true, 1 << 20); }).empty());
                MP_REQUIRE(entries().empty());
                const SharedMemory block = create(true, 10'000);
                std::memset(block.span().data(), 1, block.size());
                const SharedMemory filler({.name = "b", .create = true, .size = 45'000, .persist = true});
                MP_REQUIRE(!text_of(ENOSPC, [] { SharedMemory({.name = "c", .create = true, .size = 1}); }).empty());
                MP_REQUIRE(entries().size() == 2);
                filler.unlink();
                filler.close();
                SharedMemory({.name = "c", .create = true, .size = 1}).unlink();
              }};
  const int status = child.wait();
  if (status == skipped) GTEST_SKIP() << "this program may not mount";
  EXPECT_EQ(status, 0);
}

TEST_F(NamesFaults, WhateverFailsInACreationLeavesNothingAndTheNextOneWorks) {
  struct Site {
    Call call;
    int error;
    int sites;  // how often it is called, at the least
  };
  for (const bool persist : {false, true}) {
    for (const Site site :
         {Site{Call::open, EMFILE, 3}, Site{Call::flock, ENOLCK, 2}, Site{Call::ftruncate, EFBIG, 1},
          Site{Call::mmap, ENOMEM, 1}, Site{Call::write, ENOSPC, 1}, Site{Call::fallocate, ENOSPC, 1}}) {
      int pass = 0;
      for (;; ++pass) {
        const int descriptors = open_descriptors();
        os::faults::fail(site.call, site.error, pass);
        bool failed = true;
        try {
          create(persist).unlink();
          failed = false;
        } catch (const OsError& error) {
          EXPECT_EQ(error.code().value(), site.error);
        }
        os::faults::clear();
        if (failed) {
          const int left = error_of([] { SharedMemory({.name = "frames"}).unlink(); });
          EXPECT_TRUE(left == 0 ||
                      left == ENOENT);  // it may have been the unlink() that failed, or the attach of a leftover
        }
        EXPECT_EQ(open_descriptors(), descriptors);
        if (!failed) break;
      }
      EXPECT_GE(pass, site.sites) << static_cast<int>(site.call);
      EXPECT_TRUE(entries().empty());
    }
  }
}

TEST_F(NamesFaults, Faults26_WithoutADescriptorAnAttachIsAnErrorThatNamesTheLimitAndTheNextWorks) {
  if (testing::under_ubsan()) GTEST_SKIP() << "it takes objects for damaged when there is no descriptor";
  const SharedMemory block = create();
  const int descriptors = open_descriptors();
  const rlimit before = [] {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return limit;
  }();
  for (rlim_t more = 0; more < 3; ++more) {
    int highest = ::dup(0);
    ::close(highest);
    const rlimit few{static_cast<rlim_t>(highest) + more, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    const std::string text = text_of(EMFILE, [] { SharedMemory({.name = "frames"}); });
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_NE(text.find("ulimit -n"), std::string::npos) << text;
  }
  EXPECT_EQ(SharedMemory({.name = "frames"}).size(), block.size());
  EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace multiprocessing
