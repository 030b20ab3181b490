#include "roots.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "test_tree.hpp"

namespace mpcopy {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;
using testing::write_file;

// Sources d (a directory) and f (a file), an existing directory "into", a link to it.
class ResolveRoots : public ::testing::Test {
 protected:
  ResolveRoots() {
    fs::create_directories(here_ / "d/sub");
    write_file(here_ / "f", "x");
    fs::create_directory(here_ / "into");
    fs::create_directory_symlink(here_ / "into", here_ / "link");
  }
  std::string target(const std::string& source, const std::string& destination) {
    const Roots result = resolve_roots({here_ / source}, here_ / destination);
    return result.failures.empty() ? result.roots.at(0).target.substr(here_.path().size() + 1)
                                   : "failed: " + result.failures.at(0);
  }
  TemporaryFolder here_;
};

TEST_F(ResolveRoots, IntoAnExistingDirectoryUnderItsOwnName) {
  EXPECT_EQ(target("d", "into"), "into/d");
  EXPECT_EQ(target("d/", "into/"), "into/d");
  EXPECT_EQ(target("f", "into"), "into/f");
  EXPECT_EQ(target("f", "link"), "link/f");
}

TEST_F(ResolveRoots, ElseToThatName) {
  EXPECT_EQ(target("d", "new"), "new");
  EXPECT_EQ(target("d", "new/"), "new");
  EXPECT_EQ(target("f", "g"), "g");
}

TEST_F(ResolveRoots, PutsWhatStandsInADotIntoTheDestinationItself) {
  EXPECT_EQ(target("d/.", "into"), "into/");
  EXPECT_EQ(target("d/sub/..", "into"), "into/");
}

TEST_F(ResolveRoots, RefusesADirectoryIntoItselfByWhateverPath) {
  fs::create_directory_symlink(here_ / "d/sub", here_ / "way");
  for (const char* destination : {"d", "d/sub", "d/new", "d/sub/new", "d/../d/new", "way", "way/new"}) {
    EXPECT_NE(target("d", destination).find("into itself"), std::string::npos) << destination;
  }
  EXPECT_EQ(target("d/sub", "d"),
            "failed: cannot copy a directory, '" + (here_ / "d/sub") + "', into itself, '" + (here_ / "d/sub") + "'");
  EXPECT_EQ(target("d/sub", "d/other"), "d/other");
  EXPECT_EQ(target("d", "dd"), "dd");
}

TEST_F(ResolveRoots, WithSeveralSourcesNeedsADirectory) {
  const Roots result = resolve_roots({here_ / "d", here_ / "f"}, here_ / "new");
  EXPECT_TRUE(result.roots.empty());
  EXPECT_EQ(result.failures.at(0), "target '" + (here_ / "new") + "' is not a directory");
}

TEST_F(ResolveRoots, RefusesASecondSourceOfTheSameNameAndGoesOn) {
  fs::create_directory(here_ / "other");
  write_file(here_ / "other/f", "y");
  const Roots result = resolve_roots({here_ / "f", here_ / "other/f", here_ / "d"}, here_ / "into");
  EXPECT_EQ(result.roots.size(), 2U);
  EXPECT_EQ(result.failures.size(), 1U);
}

TEST_F(ResolveRoots, ReportsASourceThatIsNotThere) {
  EXPECT_EQ(target("nothing", "into"), "failed: cannot stat '" + (here_ / "nothing") + "': No such file or directory");
}

TEST(Paths, SplitIntoFolderAndLastName) {
  EXPECT_EQ(last_name("a/b/c"), "c");
  EXPECT_EQ(last_name("a/b//"), "b");
  EXPECT_EQ(last_name("/"), "/");
  EXPECT_EQ(folder_of("a/b/c"), "a/b");
  EXPECT_EQ(folder_of("a"), "");
  EXPECT_EQ(folder_of("/a"), "/");
  EXPECT_EQ(folder_of("a//b/"), "a");
}

}  // namespace
}  // namespace mpcopy
