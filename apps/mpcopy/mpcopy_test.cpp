// mpcopy as its users meet it: command lines, exit codes, messages.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "test_mpcopy.hpp"
#include "test_tree.hpp"

namespace mpcopy {
namespace {

namespace fs = std::filesystem;
using testing::content_of;
using testing::Mpcopy;
using testing::read_file;
using testing::tree_at;
using testing::write_file;

TEST_F(Mpcopy, CopiesATreeWithModesTimesAndLinks) {
  make_tree(here_ / "s");
  const auto before = tree_at(here_ / "s");
  EXPECT_EQ(run({"-j2", here_ / "s", here_ / "t"}), 0) << output_;
  EXPECT_EQ(tree_at(here_ / "t"), before);
}

TEST_F(Mpcopy, CopiesIntoAnExistingDirectory) {
  make_tree(here_ / "s");
  write_file(here_ / "f", "1");
  fs::create_directory(here_ / "t");
  EXPECT_EQ(run({here_ / "s", here_ / "f", here_ / "t"}), 0) << output_;
  EXPECT_EQ(tree_at(here_ / "t/s"), tree_at(here_ / "s"));
  EXPECT_EQ(read_file(here_ / "t/f"), "1");
}

TEST_F(Mpcopy, CopiesAgainOverAnOlderCopy) {
  make_tree(here_ / "s");
  ASSERT_EQ(run({here_ / "s", here_ / "t"}), 0);
  write_file(here_ / "s/deep/large", "now small");
  fs::remove(here_ / "s/link");
  fs::create_symlink("elsewhere", here_ / "s/link");
  EXPECT_EQ(run({here_ / "s/.", here_ / "t"}), 0) << output_;
  EXPECT_EQ(tree_at(here_ / "t"), tree_at(here_ / "s"));
}

TEST_F(Mpcopy, CopiesOneFileUnderANewName) {
  write_file(here_ / "a", "1");
  EXPECT_EQ(run({here_ / "a", here_ / "b"}), 0) << output_;
  EXPECT_EQ(read_file(here_ / "b"), "1");
}

TEST_F(Mpcopy, FollowsLinksInThePathsThatItIsGiven) {
  fs::create_directories(here_ / "s/d");
  fs::create_directory(here_ / "t");
  write_file(here_ / "s/a", "1");
  write_file(here_ / "s/d/b", "2");
  fs::create_directory_symlink("s", here_ / "to s");
  fs::create_directory_symlink("t", here_ / "to t");
  EXPECT_EQ(run({here_ / "to s/a", here_ / "to s/d", here_ / "to t"}), 0) << output_;
  EXPECT_EQ(run({here_ / "to s/", here_ / "to t"}), 0) << output_;
  EXPECT_EQ(run({here_ / "to s/.", here_ / "to t"}), 0) << output_;
  for (const char* copy : {"t/a", "t/to s/a"}) EXPECT_EQ(read_file(here_ / copy), "1");
  for (const char* copy : {"t/d/b", "t/to s/d/b"}) EXPECT_EQ(read_file(here_ / copy), "2");
}

TEST_F(Mpcopy, SaysOneLineIntoAPipeAndNothingWhenQuiet) {
  write_file(here_ / "a", "12345");
  EXPECT_EQ(run({here_ / "a", here_ / "b"}), 0);
  EXPECT_EQ(output_.rfind("copying 100% 5/5 B, 1 files [", 0), 0U) << output_;
  EXPECT_EQ(std::count(output_.begin(), output_.end(), '\n'), 1) << output_;
  EXPECT_EQ(run({"--quiet", here_ / "a", here_ / "c"}), 0);
  EXPECT_EQ(output_, "");
}

TEST_F(Mpcopy, ExplainsItself) {
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_TRUE(output_has("Usage: mpcopy [OPTION]... [-T] SRC DST")) << output_;
  EXPECT_EQ(run({"--version"}), 0);
  EXPECT_TRUE(output_has("mpcopy ")) << output_;
}

TEST_F(Mpcopy, RefusesAWrongCommandLineWithStatus1) {
  EXPECT_EQ(run({}), 1);
  EXPECT_EQ(run({"one"}), 1);
  EXPECT_TRUE(output_has("missing DST after 'one'")) << output_;
  EXPECT_EQ(run({"-j", "0", "a", "b"}), 1);
  EXPECT_EQ(run({"--nonsense", "a", "b"}), 1);
  EXPECT_EQ(run({here_ / "nothing", here_ / "t"}), 1);
  EXPECT_TRUE(output_has("cannot stat '" + (here_ / "nothing") + "': No such file or directory")) << output_;
}

TEST_F(Mpcopy, RefusesToCopyAFolderIntoItselfAndMakesNothing) {
  make_tree(here_ / "s");
  EXPECT_EQ(run({here_ / "s", here_ / "s/deep/copy"}), 1);
  EXPECT_TRUE(output_has("into itself")) << output_;
  EXPECT_FALSE(fs::exists(here_ / "s/deep/copy"));
}

TEST_F(Mpcopy, ReportsAnUnreadableFileAndCopiesTheRest) {
  fs::create_directories(here_ / "s");
  fs::create_directory(here_ / "into");
  write_file(here_ / "s/secret", "1");
  write_file(here_ / "s/open", "2");
  ::chmod((here_ / "s/secret").c_str(), 0);
  for (const std::string& folder : {here_.path(), here_ / "into"}) ::chmod(folder.c_str(), 0777);
  const int code = run({here_ / "s", here_ / "into"}, [] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(127);
  });
  if (code == 127) GTEST_SKIP() << "an ordinary user cannot run " << MPCOPY_PROGRAM;
  EXPECT_EQ(code, 1);
  EXPECT_TRUE(output_has("mpcopy: cannot open '" + (here_ / "s/secret") + "': Permission denied\n")) << output_;
  EXPECT_EQ(read_file(here_ / "into/s/open"), "2");
  EXPECT_FALSE(fs::exists(here_ / "into/s/secret"));
}

TEST_F(Mpcopy, ReportsOnceADirectoryThatIsInTheWayOfAFileAndTheOtherWayRound) {
  make_tree(here_ / "s");
  fs::create_directories(here_ / "t/empty file");
  write_file(here_ / "t/deep", "in the way");
  EXPECT_EQ(run({here_ / "s/.", here_ / "t"}), 1);
  EXPECT_TRUE(output_has("mpcopy: cannot overwrite non-directory '" + (here_ / "t/deep") + "' with directory\n"));
  EXPECT_TRUE(output_has("mpcopy: cannot overwrite directory '" + (here_ / "t/empty file") + "' with non-directory\n"));
  EXPECT_EQ(std::count(output_.begin(), output_.end(), '\n'), 3) << output_;
  EXPECT_TRUE(fs::is_symlink(here_ / "t/link"));
}

TEST_F(Mpcopy, ReportsAFullDiskForEachFileAndLeavesNoHalfOnes) {
  // In a chroot "/" is no mount point, and what is mounted there would be seen outside.
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    GTEST_SKIP() << "may not mount privately";
  }
  fs::create_directory(here_ / "t");
  ASSERT_EQ(::mount("mpcopy-test", (here_ / "t").c_str(), "tmpfs", 0, "size=2m"), 0);
  fs::create_directory(here_ / "s");
  write_file(here_ / "s/a", content_of(8'000'000));
  write_file(here_ / "s/b", content_of(5'000'000));
  write_file(here_ / "s/small", "1");
  // One worker: with two, a file that will not fit may for a moment take the room of one that would.
  EXPECT_EQ(run({"-j1", here_ / "s/.", here_ / "t"}), 1);
  EXPECT_TRUE(output_has((here_ / "t/a") + "': No space left on device")) << output_;
  EXPECT_TRUE(output_has((here_ / "t/b") + "': No space left on device")) << output_;
  EXPECT_EQ(tree_at(here_ / "t").size(), 2U);  // itself and small
  EXPECT_EQ(read_file(here_ / "t/small"), "1");
  ASSERT_EQ(::umount((here_ / "t").c_str()), 0);
}

}  // namespace
}  // namespace mpcopy
