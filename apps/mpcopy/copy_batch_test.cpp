#include "copy_batch.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "counters.hpp"
#include "multiprocessing/serialize.hpp"
#include "test_tree.hpp"

namespace mpcopy {
namespace {

namespace fs = std::filesystem;
using testing::content_of;
using testing::read_file;
using testing::TemporaryFolder;
using testing::write_file;

static_assert(multiprocessing::sendable<Batch>);
static_assert(multiprocessing::sendable<BatchResult>);

class CopyBatch : public ::testing::Test {
 protected:
  CopyBatch() {
    fs::create_directory(here_ / "s");
    fs::create_directory(here_ / "t");
  }
  [[nodiscard]] Batch batch_of(std::vector<Item> items) const {
    return {.folders = {{here_ / "s", here_ / "t", {}}}, .items = std::move(items)};
  }
  TemporaryFolder here_;
};

TEST_F(CopyBatch, CopiesFilesAndLinksAndCountsThem) {
  write_file(here_ / "s/a", "12345");
  fs::create_symlink("a", here_ / "s/b");
  const BatchResult result =
      copy_batch(batch_of({{.kind = Kind::directory}, {.name = "a"}, {.kind = Kind::link, .name = "b"}}));
  EXPECT_EQ(result.copied.files, 2U);
  EXPECT_EQ(result.copied.directories, 1U);
  EXPECT_EQ(result.copied.bytes, 5U);
  EXPECT_TRUE(result.failures.empty());
  EXPECT_EQ(read_file(here_ / "t/b"), "12345");
}

TEST_F(CopyBatch, MakesTheDirectoriesThatAreMissing) {
  fs::create_directories(here_ / "s/x/y");
  write_file(here_ / "s/x/y/f", "1");
  const BatchResult result =
      copy_batch({.folders = {{here_ / "s/x/y", here_ / "t/x/y", {}}}, .items = {{.name = "f"}}});
  EXPECT_TRUE(result.failures.empty());
  EXPECT_EQ(read_file(here_ / "t/x/y/f"), "1");
}

TEST_F(CopyBatch, OneThatFailsCostsAMessageAndNothingElse) {
  write_file(here_ / "s/a", "1");
  write_file(here_ / "s/c", "3");
  const BatchResult result = copy_batch(batch_of({{.name = "a"}, {.name = "gone"}, {.name = "c"}}));
  EXPECT_EQ(result.copied.files, 2U);
  EXPECT_EQ(result.failures,
            std::vector<std::string>{"cannot open '" + (here_ / "s/gone") + "': No such file or directory"});
}

TEST_F(CopyBatch, NamesTheUppermostDirectoryThatCannotBeMade) {
  fs::create_directories(here_ / "s/x/y");
  write_file(here_ / "s/x/y/f", "1");
  write_file(here_ / "t/x", "in the way");
  const BatchResult result = copy_batch(
      {.folders = {{here_ / "s/x/y", here_ / "t/x/y", {}}}, .items = {{.kind = Kind::directory}, {.name = "f"}}});
  const std::string message = "cannot overwrite non-directory '" + (here_ / "t/x") + "' with directory";
  EXPECT_EQ(result.failures, (std::vector<std::string>{message, message}));
  EXPECT_EQ(read_file(here_ / "t/x"), "in the way");
}

TEST_F(CopyBatch, DoesNotFollowALinkOutOfTheCopy) {
  fs::create_directories(here_ / "s/x");
  fs::create_directories(here_ / "elsewhere");
  write_file(here_ / "s/x/f", "1");
  fs::create_directory_symlink(here_ / "elsewhere", here_ / "t/x");
  const BatchResult result = copy_batch({.folders = {{here_ / "s/x", here_ / "t/x", {}}}, .items = {{.name = "f"}}});
  EXPECT_EQ(result.failures.size(), 1U);
  EXPECT_TRUE(fs::is_empty(here_ / "elsewhere"));
}

TEST_F(CopyBatch, AFileBeyondTheSizeLimitIsAnErrorAndNotADeath) {
  write_file(here_ / "s/a", content_of(100'000));
  const pid_t child = ::fork();
  if (child == 0) {
    prepare_worker();
    const rlimit limit{50'000, 50'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const BatchResult result = copy_batch(batch_of({{.name = "a"}}));
    ::_exit(result.failures.size() == 1 && result.failures[0].find("File too large") != std::string::npos ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(fs::is_empty(here_ / "t"));
}

TEST_F(CopyBatch, ReportsItsProgressInTheSlotOfTheTask) {
  const SharedCounters counters(2);
  write_file(here_ / "s/a", "12345");
  Batch batch = batch_of({{.name = "a"}});
  batch.slot = 1;
  const pid_t child = ::fork();
  if (child == 0) {
    copy_batch(batch);
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(counters.slots()[0].amount().files, 0U);
  EXPECT_EQ(counters.slots()[1].amount().files, 1U);
  EXPECT_EQ(counters.slots()[1].amount().bytes, 5U);
}

}  // namespace
}  // namespace mpcopy
