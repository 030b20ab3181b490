#include "copy_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "test_tree.hpp"
#include "text.hpp"

namespace mpcopy {
namespace {

namespace fs = std::filesystem;
using multiprocessing::base::Fd;
using testing::content_of;
using testing::description_of;
using testing::read_file;
using testing::set_mtime;
using testing::TemporaryFolder;
using testing::write_file;

// Each claim for all ways of moving the bytes.
class CopyFile : public ::testing::TestWithParam<Rules> {
 protected:
  CopyFile() {
    observer_.on_moved = [this](std::uint64_t bytes) { moved_ += bytes; };
  }
  Outcome copy(const std::string& from, const std::string& to) {
    return copy_file(place(from), place(to), "temporary", rules_, observer_);
  }
  [[nodiscard]] Place place(const std::string& name) const { return {fd_.get(), name, here_ / name}; }
  std::string failure_of(const std::string& from, const std::string& to) {
    try {
      copy(from, to);
    } catch (const CopyError& error) {
      return error.what();
    }
    return "";
  }
  void expect_nothing_left_over() { EXPECT_EQ(description_of(here_ / "temporary"), "missing"); }

  TemporaryFolder here_;
  Rules rules_ = GetParam();
  Observer observer_;
  std::uint64_t moved_ = 0;
  Fd fd_{::open(here_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
};
INSTANTIATE_TEST_SUITE_P(AllWays, CopyFile,
                         ::testing::Values(Rules{}, Rules{.reflink = Reflink::never}, Rules{.verify = true}),
                         [](const auto& rules) {
                           if (rules.param.verify) return "Verified";
                           return rules.param.reflink == Reflink::never ? "ReadWrite" : "Kernel";
                         });

TEST_P(CopyFile, KeepsContentModeAndTimesToTheNanosecond) {
  write_file(here_ / "a", content_of(1'000'003));
  ::chmod((here_ / "a").c_str(), 0641);
  set_mtime(here_ / "a", 1'000'000'000, 123'456'789);
  const std::string before = description_of(here_ / "a");
  EXPECT_EQ(copy("a", "b"), Outcome::copied);
  EXPECT_EQ(moved_, 1'000'003U);
  EXPECT_EQ(description_of(here_ / "b"), before);
  expect_nothing_left_over();
}

TEST_P(CopyFile, CopiesAnEmptyFile) {
  write_file(here_ / "a", "");
  EXPECT_EQ(copy("a", "b"), Outcome::copied);
  EXPECT_EQ(read_file(here_ / "b"), "");
}

TEST_P(CopyFile, CopiesAFileWhoseSizeIsNotToldAsInProc) {
  const Place source{AT_FDCWD, "/proc/self/status", "/proc/self/status"};
  copy_file(source, place("b"), "temporary", rules_, observer_);
  EXPECT_NE(read_file(here_ / "b").find("Name:"), std::string::npos);
}

TEST_P(CopyFile, CopiesAFileThatIsShorterThanItsSizeSaysAsInSys) {
  const std::string path = "/sys/kernel/mm/transparent_hugepage/enabled";
  if (!fs::exists(path)) GTEST_SKIP() << "no " << path << " here";
  copy_file({AT_FDCWD, path, path}, place("b"), "temporary", rules_, observer_);
  EXPECT_EQ(read_file(here_ / "b"), read_file(path));
}

TEST_P(CopyFile, CopiesToAnotherFileSystem) {
  const std::string target = "/dev/shm/mpcopy-test-" + std::to_string(::getpid());
  if (::access("/dev/shm", W_OK) != 0) GTEST_SKIP() << "no /dev/shm here";
  write_file(here_ / "a", content_of(70'000));
  copy_file(place("a"), {AT_FDCWD, target, target}, target + "~", rules_, observer_);
  EXPECT_EQ(read_file(target), content_of(70'000));
  fs::remove(target);
}

TEST_P(CopyFile, ReplacesAnExistingFileAndNotWhatALinkPointsTo) {
  write_file(here_ / "a", "new");
  write_file(here_ / "b", "old");
  fs::create_symlink("b", here_ / "link");
  fs::create_hard_link(here_ / "b", here_ / "hard");
  copy("a", "link");
  copy("a", "hard");
  EXPECT_EQ(read_file(here_ / "link"), "new");
  EXPECT_FALSE(fs::is_symlink(here_ / "link"));
  EXPECT_EQ(read_file(here_ / "hard"), "new");
  EXPECT_EQ(read_file(here_ / "b"), "old");
}

TEST_P(CopyFile, ReplacesTheTemporaryFileOfATryThatWasKilled) {
  write_file(here_ / "a", "new");
  write_file(here_ / "temporary", "a longer and half written file");
  ::chmod((here_ / "temporary").c_str(), 0400);
  copy("a", "b");
  EXPECT_EQ(read_file(here_ / "b"), "new");
  expect_nothing_left_over();
}

TEST_P(CopyFile, RefusesToReplaceADirectory) {
  write_file(here_ / "a", "x");
  fs::create_directory(here_ / "d");
  EXPECT_EQ(failure_of("a", "d"), "cannot overwrite directory '" + (here_ / "d") + "' with non-directory");
  expect_nothing_left_over();
}

TEST_P(CopyFile, RefusesToCopyAFileOntoItself) {
  write_file(here_ / "a", "x");
  fs::create_hard_link(here_ / "a", here_ / "b");
  EXPECT_NE(failure_of("a", "b").find("are the same file"), std::string::npos);
}

TEST_P(CopyFile, ReportsASourceThatVanished) {
  EXPECT_EQ(failure_of("a", "b"), "cannot open '" + (here_ / "a") + "': No such file or directory");
}

TEST_P(CopyFile, ReportsASourceThatBecameSomethingElse) {
  ::mkfifo((here_ / "a").c_str(), 0600);
  EXPECT_EQ(failure_of("a", "b"), "'" + (here_ / "a") + "' is no longer a regular file");
}

TEST_P(CopyFile, ReportsANameThatIsTooLong) {
  write_file(here_ / "a", "x");
  const std::string name(300, 'n');
  EXPECT_NE(failure_of("a", name).find("File name too long"), std::string::npos);
  expect_nothing_left_over();
}

TEST_P(CopyFile, ReportsAnUnreadableFile) {
  write_file(here_ / "a", "x");
  ::chmod((here_ / "a").c_str(), 0);
  if (::access((here_ / "a").c_str(), R_OK) == 0 && ::seteuid(65534) != 0) GTEST_SKIP() << "may read everything";
  const std::string failure = failure_of("a", "b");
  static_cast<void>(::seteuid(::getuid()));
  EXPECT_EQ(failure, "cannot open '" + (here_ / "a") + "': Permission denied");
}

TEST_P(CopyFile, DropsSetIdBitsWhereTheOwnerCannotBeKept) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make a file of somebody else";
  write_file(here_ / "a", "x");
  ASSERT_EQ(::chown((here_ / "a").c_str(), 1234, 1234), 0);
  ASSERT_EQ(::chmod((here_ / "a").c_str(), 06755), 0);
  copy("a", "kept");
  EXPECT_EQ(description_of(here_ / "kept"), description_of(here_ / "a"));
  ASSERT_EQ(::chmod(here_.path().c_str(), 0777), 0);
  ASSERT_EQ(::seteuid(65534), 0);
  copy("a", "dropped");
  ASSERT_EQ(::seteuid(0), 0);
  struct stat info {};
  ASSERT_EQ(::stat((here_ / "dropped").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0755U);
  EXPECT_EQ(info.st_uid, 65534U);
}

TEST_P(CopyFile, LeavesTheOldFileAndNoPieceOfTheNewWhereTheDiskIsFull) {
  // In a chroot "/" is no mount point, and what is mounted there would be seen outside.
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    GTEST_SKIP() << "may not mount privately";
  }
  fs::create_directory(here_ / "small");
  ASSERT_EQ(::mount("mpcopy-test", (here_ / "small").c_str(), "tmpfs", 0, "size=64k"), 0);
  write_file(here_ / "a", content_of(1'000'000));
  const Place target{AT_FDCWD, here_ / "small/b", here_ / "small/b"};
  write_file(target.path, "old");
  try {
    copy_file(place("a"), target, here_ / "small/temporary", rules_, observer_);
    FAIL() << "1 MB fitted into 64 KiB";
  } catch (const CopyError& error) {
    EXPECT_NE(std::string(error.what()).find("No space left on device"), std::string::npos) << error.what();
  }
  EXPECT_EQ(read_file(target.path), "old");
  EXPECT_EQ(description_of(here_ / "small/temporary"), "missing");
  ASSERT_EQ(::umount((here_ / "small").c_str()), 0);
}

TEST_P(CopyFile, TellsTheBytesAsTheyAreCopied) {
  write_file(here_ / "a", content_of(20'000'000));
  rules_.step_bytes = 1U << 20U;
  int times = 0;
  observer_.on_moved = [&](std::uint64_t bytes) {
    moved_ += bytes;
    ++times;
  };
  copy("a", "b");
  EXPECT_EQ(moved_, 20'000'000U);
  EXPECT_GE(times, 2);
}

TEST_P(CopyFile, KeepsHolesAsHoles) {
  testing::write_sparse_file(here_ / "a", {{1U << 20U, "one"}, {5U << 20U, "two"}}, 9U << 20U);
  std::uint64_t passed = 0;
  observer_.on_passed = [&](std::uint64_t bytes) { passed += bytes; };
  copy("a", "b");
  EXPECT_EQ(read_file(here_ / "b"), read_file(here_ / "a"));
  EXPECT_EQ(testing::data_of(here_ / "b"), testing::data_of(here_ / "a"));
  EXPECT_EQ(moved_ + passed, 9U << 20U);
}

TEST_P(CopyFile, KeepsExtendedAttributes) {
  write_file(here_ / "a", "x");
  const std::string large(3000, 'v');
  if (::setxattr((here_ / "a").c_str(), "user.one", "1", 1, 0) != 0) GTEST_SKIP() << "no extended attributes here";
  ASSERT_EQ(::setxattr((here_ / "a").c_str(), "user.large", large.data(), large.size(), 0), 0);
  ::chmod((here_ / "a").c_str(), 0444);
  copy("a", "b");
  EXPECT_EQ(description_of(here_ / "b"), description_of(here_ / "a"));
  EXPECT_TRUE(observer_.complaints.empty());
}

TEST_P(CopyFile, LeavesOutExtendedAttributesThatTheFileSystemThereDoesNotKnow) {
  const std::string target = "/dev/shm/mpcopy-test-" + std::to_string(::getpid());
  if (::access("/dev/shm", W_OK) != 0) GTEST_SKIP() << "no /dev/shm here";
  write_file(here_ / "a", "x");
  if (::setxattr((here_ / "a").c_str(), "user.one", "1", 1, 0) != 0) GTEST_SKIP() << "no extended attributes here";
  copy_file(place("a"), {AT_FDCWD, target, target}, target + "~", rules_, observer_);
  EXPECT_EQ(read_file(target), "x");
  EXPECT_TRUE(observer_.complaints.empty());
  fs::remove(target);
}

TEST_P(CopyFile, ReportsASourceThatChangesMeanwhile) {
  write_file(here_ / "a", content_of(1000));
  observer_.on_moved = [&](std::uint64_t) { write_file(here_ / "a", "changed"); };
  copy("a", "b");
  EXPECT_EQ(observer_.complaints, std::vector<std::string>{"'" + (here_ / "a") + "' changed while it was copied"});
}

TEST_P(CopyFile, VerificationFindsAByteThatWasNotWrittenAsItWasRead) {
  rules_.verify = true;
  write_file(here_ / "a", content_of(300'000));
  write_file(here_ / "b", "old");
  observer_.on_moved = [&](std::uint64_t) {
    const Fd out(::open((here_ / "temporary").c_str(), O_WRONLY | O_CLOEXEC));
    EXPECT_EQ(::pwrite(out.get(), "?", 1, 100'000), 1);
  };
  EXPECT_EQ(failure_of("a", "b"), "verification failed: '" + (here_ / "b") + "' is not what was written");
  EXPECT_EQ(read_file(here_ / "b"), "old");
  expect_nothing_left_over();
}

TEST_P(CopyFile, UpdateLeavesWhatIsNotOlder) {
  rules_.update = true;
  write_file(here_ / "a", "new");
  write_file(here_ / "b", "old");
  testing::set_mtime(here_ / "a", 1'000'000'000, 5);
  testing::set_mtime(here_ / "b", 1'000'000'000, 5);
  EXPECT_EQ(copy("a", "b"), Outcome::left);
  EXPECT_EQ(read_file(here_ / "b"), "old");
  testing::set_mtime(here_ / "b", 1'000'000'000, 4);
  EXPECT_EQ(copy("a", "b"), Outcome::copied);
  EXPECT_EQ(read_file(here_ / "b"), "new");
}

TEST_P(CopyFile, ResumeLeavesWhatHasSizeAndTimeOfItsSource) {
  rules_.resume = true;
  write_file(here_ / "a", "new");
  write_file(here_ / "b", "old");
  testing::set_mtime(here_ / "a", 1'000'000'000, 5);
  testing::set_mtime(here_ / "b", 1'000'000'000, 5);
  EXPECT_EQ(copy("a", "b"), Outcome::left);
  testing::set_mtime(here_ / "b", 1'000'000'000, 6);
  EXPECT_EQ(copy("a", "b"), Outcome::copied);
}

TEST_P(CopyFile, ReflinkAlwaysFailsWhereBlocksCannotBeShared) {
  rules_ = {.reflink = Reflink::always};
  write_file(here_ / "a", "x");
  const std::string failure = failure_of("a", "b");
  if (failure.empty()) GTEST_SKIP() << "blocks can be shared here";
  EXPECT_EQ(failure.rfind("failed to clone '" + (here_ / "b") + "' from '" + (here_ / "a") + "': ", 0), 0U) << failure;
  expect_nothing_left_over();
}

// A range of a file into one that is there.
class CopyPiece : public CopyFile {
 protected:
  void copy_range(std::uint64_t from, std::uint64_t bytes) {
    copy_piece(place("a"), place("part"), from, bytes, rules_, observer_);
  }
};
INSTANTIATE_TEST_SUITE_P(AllWays, CopyPiece, ::testing::Values(Rules{}, Rules{.verify = true}, Rules{.resume = true}));

TEST_P(CopyPiece, WritesItsRangeAndNothingElse) {
  write_file(here_ / "a", content_of(1'000'000));
  write_file(here_ / "part", std::string(1'000'000, '-'));
  copy_range(300'000, 400'000);
  const std::string part = read_file(here_ / "part");
  EXPECT_EQ(part.substr(300'000, 400'000), content_of(1'000'000).substr(300'000, 400'000));
  EXPECT_EQ(part.substr(0, 300'000), std::string(300'000, '-'));
  EXPECT_EQ(part.substr(700'000), std::string(300'000, '-'));
}

TEST_P(CopyPiece, MendsWhatAKilledRunLeft) {
  rules_.resume = true;  // else pieces go into an empty file
  testing::write_sparse_file(here_ / "a", {{1U << 20U, content_of(2U << 20U)}}, 8U << 20U);
  std::string part = read_file(here_ / "a");
  part[(2U << 20U) + 5] = '?';
  part[5U << 20U] = '?';  // where the source has a hole
  write_file(here_ / "part", part);
  copy_range(0, 8U << 20U);
  EXPECT_EQ(read_file(here_ / "part"), read_file(here_ / "a"));
}

}  // namespace
}  // namespace mpcopy
