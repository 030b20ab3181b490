#include "temporary_name.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <string>

#include "base/fd.hpp"
#include "test_tree.hpp"

namespace mpcopy {
namespace {

namespace fs = std::filesystem;
using multiprocessing::base::Fd;
using testing::TemporaryFolder;
using testing::write_file;

struct stat source_of(off_t size, long nanoseconds) {
  struct stat info {};
  info.st_size = size;
  info.st_mtim = {1'000'000'000, nanoseconds};
  return info;
}

TEST(TemporaryName, IsKnownAsALeftover) {
  EXPECT_EQ(leftover_of(temporary_name(7, 12)), Leftover::temporary);
  EXPECT_EQ(leftover_of(partial_name("a", source_of(5, 6))), Leftover::partial);
  for (const char* name : {"", "a", ".mpcopy-", ".mpcopy-0123456789abcdef", ".mpcopy-0123456789abcdef-",
                           ".mpcopy-0123456789abcdeg-1", ".mpcopy-0123456789abcdef-1x", ".mpcopy-backup"}) {
    EXPECT_EQ(leftover_of(name), Leftover::none) << name;
  }
}

TEST(TemporaryName, OfAPartialFileTellsStatesOfTheSourceApart) {
  const std::string name = partial_name("a", source_of(5, 6));
  EXPECT_EQ(partial_name("a", source_of(5, 6)), name);
  EXPECT_NE(partial_name("b", source_of(5, 6)), name);
  EXPECT_NE(partial_name("a", source_of(6, 6)), name);
  EXPECT_NE(partial_name("a", source_of(5, 7)), name);
}

class RemoveLeftovers : public ::testing::Test {
 protected:
  RemoveLeftovers() {
    fs::create_directory(here_ / "s");
    fs::create_directory(here_ / "t");
  }
  void remove() {
    const Fd target(::open((here_ / "t").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const Fd source(::open((here_ / "s").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    remove_leftovers(target.get(), source.get());
  }
  TemporaryFolder here_;
  std::string temporary_ = temporary_name(7, 12), partial_ = partial_name("a", source_of(5, 6));
};

TEST_F(RemoveLeftovers, OfBothKindsAndNothingElse) {
  for (const std::string& name : {temporary_, partial_, std::string("file")}) write_file(here_ / ("t/" + name), "x");
  remove();
  EXPECT_FALSE(fs::exists(here_ / ("t/" + temporary_)));
  EXPECT_FALSE(fs::exists(here_ / ("t/" + partial_)));
  EXPECT_TRUE(fs::exists(here_ / "t/file"));
}

TEST_F(RemoveLeftovers, KeepsTheCopyOfAFileOfSuchAName) {
  write_file(here_ / ("s/" + temporary_), "x");
  write_file(here_ / ("t/" + temporary_), "x");
  remove();
  EXPECT_TRUE(fs::exists(here_ / ("t/" + temporary_)));
}

TEST_F(RemoveLeftovers, KeepsAPartialFileThatAnotherMpcopyWorksOn) {
  const std::string path = here_ / ("t/" + partial_);
  write_file(path, "x");
  {
    const Fd other(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::flock(other.get(), LOCK_EX), 0);
    remove();
    EXPECT_TRUE(fs::exists(path));
  }
  remove();
  EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace mpcopy
