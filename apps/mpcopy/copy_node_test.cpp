#include "copy_node.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "base/fd.hpp"
#include "copy_batch.hpp"
#include "test_tree.hpp"
#include "text.hpp"

namespace mpcopy {
namespace {

namespace fs = std::filesystem;
using multiprocessing::base::Fd;
using testing::description_of;
using testing::set_mtime;
using testing::TemporaryFolder;
using testing::write_file;

class CopyNode : public ::testing::Test {
 protected:
  CopyNode() { prepare_worker(); }
  Outcome copy(const std::string& from, const std::string& to) {
    return copy_node(place(from), place(to), "temporary", rules_, observer_);
  }
  [[nodiscard]] Place place(const std::string& name) const { return {fd_.get(), name, here_ / name}; }
  void expect_equal(const std::string& a, const std::string& b) {
    EXPECT_EQ(description_of(here_ / b), description_of(here_ / a));
    expect_nothing_left_over();
  }
  void expect_nothing_left_over() { EXPECT_EQ(description_of(here_ / "temporary"), "missing"); }

  TemporaryFolder here_;
  Rules rules_;
  Observer observer_;
  Fd fd_{::open(here_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
};

TEST_F(CopyNode, CopiesALinkItselfAlsoWhereItDangles) {
  fs::create_symlink("no/such/\xff\nplace", here_ / "a");
  set_mtime(here_ / "a", 1'000'000'000, 987'654'321);
  EXPECT_EQ(copy("a", "b"), Outcome::copied);
  expect_equal("a", "b");
}

TEST_F(CopyNode, MakesAFifoAnewWithItsModeAndTimes) {
  ASSERT_EQ(::mkfifo((here_ / "a").c_str(), 0642), 0);
  ASSERT_EQ(::chmod((here_ / "a").c_str(), 0642), 0);
  set_mtime(here_ / "a", 1'000'000'000, 5);
  copy("a", "b");
  expect_equal("a", "b");
}

TEST_F(CopyNode, MakesASocketAnew) {
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::strncpy(address.sun_path, (here_ / "a").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  copy("a", "b");
  expect_equal("a", "b");
}

TEST_F(CopyNode, MakesADeviceAnew) {
  if (::mknod((here_ / "a").c_str(), S_IFCHR | 0600, makedev(1, 3)) != 0) GTEST_SKIP() << "may not make devices";
  copy("a", "b");
  expect_equal("a", "b");
}

TEST_F(CopyNode, ReportsADeviceThatMayNotBeMade) {
  if (::mknod((here_ / "a").c_str(), S_IFCHR | 0600, makedev(1, 3)) != 0) GTEST_SKIP() << "may not make devices";
  ASSERT_EQ(::chmod(here_.path().c_str(), 0777), 0);
  ASSERT_EQ(::seteuid(65534), 0);
  std::string failure;
  try {
    copy("a", "b");
  } catch (const CopyError& error) {
    failure = error.what();
  }
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_EQ(failure, "cannot create special file '" + (here_ / "b") + "': Operation not permitted");
}

TEST_F(CopyNode, ReplacesAFileAndWhatAKilledTryLeft) {
  fs::create_symlink("new", here_ / "a");
  write_file(here_ / "b", "old");
  fs::create_symlink("half", here_ / "temporary");
  copy("a", "b");
  EXPECT_EQ(fs::read_symlink(here_ / "b"), "new");
  expect_nothing_left_over();
}

TEST_F(CopyNode, RefusesToReplaceADirectoryAndLeavesNothing) {
  fs::create_symlink("x", here_ / "a");
  fs::create_directory(here_ / "d");
  EXPECT_THROW(copy("a", "d"), CopyError);
  expect_nothing_left_over();
}

TEST_F(CopyNode, GivesACopyAFurtherName) {
  write_file(here_ / "one", "1");
  copy_hard_link(here_ / "one", place("two"), "temporary");
  EXPECT_EQ(fs::hard_link_count(here_ / "one"), 2U);
  EXPECT_TRUE(fs::equivalent(here_ / "one", here_ / "two"));
  expect_nothing_left_over();
}

TEST_F(CopyNode, ReplacesAFileByAFurtherNameAndDoesNothingTheSecondTime) {
  write_file(here_ / "one", "1");
  write_file(here_ / "two", "old");
  for (int i = 0; i < 2; ++i) {
    copy_hard_link(here_ / "one", place("two"), "temporary");
    EXPECT_EQ(fs::hard_link_count(here_ / "one"), 2U);
    expect_nothing_left_over();
  }
}

TEST_F(CopyNode, ReportsAFurtherNameOfWhatIsNotThere) {
  EXPECT_THROW(copy_hard_link(here_ / "one", place("two"), "temporary"), CopyError);
}

}  // namespace
}  // namespace mpcopy
