#include "scan.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "test_tree.hpp"

namespace mpcopy {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;
using testing::write_file;

class Scan : public ::testing::Test {
 protected:
  void scan(std::vector<Root> roots) {
    scanner_ = std::make_unique<Scanner>(std::move(roots), batcher_, failures_, options_);
    while (!scanner_->is_done()) scanner_->step();
    while (auto batch = batcher_.next_large()) take(*batch);
    while (auto batch = batcher_.next_small()) take(*batch);
    while (auto batch = batcher_.next_links()) take(*batch);
  }
  void take(const Batch& batch) {
    for (const Item& item : batch.items) {
      const std::string target = target_path(batch.folders[item.folder], item);
      found_.insert(target.substr(here_.path().size() + 1));
      kinds_[target.substr(here_.path().size() + 1)] = item.kind;
    }
  }
  TemporaryFolder here_;
  ScanOptions options_;
  std::map<std::string, Kind> kinds_;
  Batcher batcher_;
  std::vector<std::string> failures_;
  std::unique_ptr<Scanner> scanner_;
  std::set<std::string> found_;  // targets; those of directories end with a slash
};

TEST_F(Scan, FindsEveryFileLinkAndDirectoryOnce) {
  fs::create_directories(here_ / "s/a/b");
  fs::create_directories(here_ / "s/empty");
  write_file(here_ / "s/f", "12345");
  write_file(here_ / "s/a/b/odd\n\xff", "67");
  fs::create_symlink("nowhere", here_ / "s/a/link");
  scan({{here_ / "s", here_ / "t"}});
  EXPECT_EQ(found_, (std::set<std::string>{"t/", "t/f", "t/a/", "t/a/b/", "t/a/b/odd\n\xff", "t/a/link", "t/empty/"}));
  EXPECT_EQ(scanner_->found().files, 3U);
  EXPECT_EQ(scanner_->found().directories, 4U);
  EXPECT_EQ(scanner_->found().bytes, 7U);
  EXPECT_TRUE(failures_.empty());
}

TEST_F(Scan, TakesAFileByItselfUnderANewName) {
  write_file(here_ / "f", "12345");
  fs::create_symlink("f", here_ / "l");
  scan({{here_ / "f", here_ / "g"}, {here_ / "l", here_ / "m"}});
  EXPECT_EQ(found_, (std::set<std::string>{"g", "m"}));
}

TEST_F(Scan, TellsKindsApart) {
  fs::create_directory(here_ / "s");
  ::mkfifo((here_ / "s/fifo").c_str(), 0600);
  fs::create_symlink("fifo", here_ / "s/link");
  write_file(here_ / "s/file", "12345");
  scan({{here_ / "s", here_ / "t"}});
  EXPECT_EQ(kinds_,
            (std::map<std::string, Kind>{
                {"t/", Kind::directory}, {"t/fifo", Kind::special}, {"t/link", Kind::link}, {"t/file", Kind::file}}));
}

TEST_F(Scan, FindsTheContentOfHardLinksOnce) {
  fs::create_directories(here_ / "s/a");
  write_file(here_ / "s/one", "12345");
  fs::create_hard_link(here_ / "s/one", here_ / "s/two");
  fs::create_hard_link(here_ / "s/one", here_ / "s/a/three");
  scan({{here_ / "s", here_ / "t"}});
  EXPECT_EQ(scanner_->found().files, 3U);
  EXPECT_EQ(scanner_->found().bytes, 5U);
  const auto links =
      std::count_if(kinds_.begin(), kinds_.end(), [](auto& one) { return one.second == Kind::hard_link; });
  EXPECT_EQ(links, 2);
}

TEST_F(Scan, LeavesOutWhatIsExcludedAndAllBelow) {
  fs::create_directories(here_ / "s/build/deep");
  write_file(here_ / "s/build/deep/f", "1");
  write_file(here_ / "s/a.o", "1");
  write_file(here_ / "s/a.c", "1");
  options_.exclude = Exclude({"build", "*.o"});
  scan({{here_ / "s", here_ / "t"}});
  EXPECT_EQ(found_, (std::set<std::string>{"t/", "t/a.c"}));
  EXPECT_EQ(scanner_->found().files, 1U);
}

TEST_F(Scan, MakesNothingWhereItOnlyLooks) {
  fs::create_directories(here_ / "s");
  options_.only_looks = true;
  scan({{here_ / "s", here_ / "t"}});
  EXPECT_FALSE(fs::exists(here_ / "t"));
}

TEST_F(Scan, ReportsATargetThatIsNoDirectory) {
  fs::create_directory(here_ / "s");
  write_file(here_ / "t", "x");
  scan({{here_ / "s", here_ / "t"}});
  EXPECT_EQ(failures_,
            std::vector<std::string>{"cannot overwrite non-directory '" + (here_ / "t") + "' with directory"});
}

TEST_F(Scan, DoesNotDescendIntoTheCopyThroughABindMount) {
  fs::create_directories(here_ / "s/sub");
  fs::create_directory(here_ / "mnt");
  // In a chroot "/" is no mount point, and what is mounted there would be seen outside.
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    GTEST_SKIP() << "may not mount privately";
  }
  ASSERT_EQ(::mount((here_ / "s/sub").c_str(), (here_ / "mnt").c_str(), nullptr, MS_BIND, nullptr), 0);
  scan({{here_ / "s", here_ / "mnt/copy"}});
  EXPECT_EQ(failures_, std::vector<std::string>{"cannot copy the copy itself, '" + (here_ / "s/sub/copy") + "'"});
  ASSERT_EQ(::umount((here_ / "mnt").c_str()), 0);
}

TEST_F(Scan, GivesDirectoriesTheirModeAndTimesAtTheEnd) {
  fs::create_directories(here_ / "s/a");
  fs::create_directories(here_ / "t/a");
  ::chmod((here_ / "s/a").c_str(), 0500);
  testing::set_mtime(here_ / "s/a", 1'000'000'000, 5);
  testing::set_mtime(here_ / "s", 1'000'000'001, 6);
  scan({{here_ / "s", here_ / "t"}});
  write_file(here_ / "t/late", "x");
  fs::remove(here_ / "t/late");
  scanner_->finish_directories();
  EXPECT_EQ(testing::tree_at(here_ / "t"), testing::tree_at(here_ / "s"));
}

}  // namespace
}  // namespace mpcopy
