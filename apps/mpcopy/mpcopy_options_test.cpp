// mpcopy's options, as a user meets them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "open_path.hpp"
#include "temporary_name.hpp"
#include "test_mpcopy.hpp"
#include "test_tree.hpp"

namespace mpcopy {
namespace {

namespace fs = std::filesystem;
using multiprocessing::base::Fd;
using testing::content_of;
using testing::Mpcopy;
using testing::read_file;
using testing::tree_at;
using testing::write_file;

class MpcopyOptions : public Mpcopy {};

TEST_F(MpcopyOptions, AreAllInTheManPageAndInTheCompletion) {
  ASSERT_EQ(run({"--help"}), 0);
  std::string manual = read_file(MPCOPY_SOURCES "/mpcopy.1");
  manual.erase(std::remove(manual.begin(), manual.end(), '\\'), manual.end());
  const std::string completion = read_file(MPCOPY_SOURCES "/mpcopy.bash-completion");
  const std::regex option("--[a-z-]+");
  std::set<std::string> options(std::sregex_token_iterator(output_.begin(), output_.end(), option),
                                std::sregex_token_iterator());
  EXPECT_GE(options.size(), 15U);
  for (const std::string& one : options) {
    EXPECT_NE(manual.find(one), std::string::npos) << one;
    EXPECT_NE(completion.find(one), std::string::npos) << one;
  }
}

TEST_F(MpcopyOptions, TheManPageIsOfThisVersion) {
  ASSERT_EQ(run({"--version"}), 0);
  const std::string version = output_.substr(0, output_.find('\n'));
  EXPECT_NE(read_file(MPCOPY_SOURCES "/mpcopy.1").find('"' + version + '"'), std::string::npos) << version;
}

TEST_F(MpcopyOptions, TargetDirectoryMustBeThere) {
  write_file(here_ / "a", "1");
  EXPECT_EQ(run({"-t", here_ / "t", here_ / "a"}), 1);
  EXPECT_TRUE(output_has("target '" + (here_ / "t") + "' is not a directory")) << output_;
  fs::create_directory(here_ / "t");
  EXPECT_EQ(run({"-a", "-t", here_ / "t", here_ / "a"}), 0) << output_;
  EXPECT_EQ(read_file(here_ / "t/a"), "1");
}

TEST_F(MpcopyOptions, NoTargetDirectoryMeansThatName) {
  make_tree(here_ / "s");
  fs::create_directory(here_ / "t");
  EXPECT_EQ(run({"-T", here_ / "s", here_ / "t"}), 0) << output_;
  EXPECT_EQ(tree_at(here_ / "t"), tree_at(here_ / "s"));
  EXPECT_EQ(run({"-T", here_ / "s", here_ / "f", here_ / "t"}), 1);
  EXPECT_EQ(run({"-T", "-t", here_ / "t", here_ / "s"}), 1);
}

TEST_F(MpcopyOptions, NamesOfAnyKindAreNoOptions) {
  for (const char* name : {"-n", "[a]", "--exclude=x", "%%", "a,b", "{}"}) {
    write_file(here_ / name, "1");
    fs::create_directories(here_ / "t");
    EXPECT_EQ(run({"--", here_ / name, here_ / "t"}), 0) << output_;
    EXPECT_EQ(read_file(here_ / ("t/" + std::string(name))), "1") << name;
  }
}

TEST_F(MpcopyOptions, DryRunSaysWhatItWouldDoAndChangesNothing) {
  make_tree(here_ / "s");
  EXPECT_EQ(run({"--dry-run", here_ / "s", here_ / "t"}), 0) << output_;
  EXPECT_FALSE(fs::exists(here_ / "t"));
  EXPECT_TRUE(output_has("'" + (here_ / "s/deep/large") + "' -> '" + (here_ / "t/deep/large") + "'\n")) << output_;
  ASSERT_EQ(run({here_ / "s", here_ / "t"}), 0);
  write_file(here_ / "s/new", "1");
  const auto before = tree_at(here_ / "t");
  EXPECT_EQ(run({"-n", "--update", "-T", here_ / "s", here_ / "t"}), 0) << output_;
  EXPECT_EQ(output_, "'" + (here_ / "s/new") + "' -> '" + (here_ / "t/new") +
                         "'\nmpcopy: would copy 1 files, and make 0 directories\n");
  EXPECT_EQ(tree_at(here_ / "t"), before);
}

TEST_F(MpcopyOptions, UpdateLeavesWhatIsNewer) {
  fs::create_directories(here_ / "s");
  for (const char* name : {"s/old", "s/new", "s/missing"}) write_file(here_ / name, "source");
  ASSERT_EQ(run({here_ / "s", here_ / "t"}), 0);
  fs::remove(here_ / "t/missing");
  for (const char* name : {"t/old", "t/new"}) write_file(here_ / name, "target");
  testing::set_mtime(here_ / "t/old", 1'000'000'000, 0);
  testing::set_mtime(here_ / "t/new", 4'000'000'000, 0);
  EXPECT_EQ(run({"-u", here_ / "s/.", here_ / "t"}), 0) << output_;
  EXPECT_EQ(read_file(here_ / "t/old"), "source");
  EXPECT_EQ(read_file(here_ / "t/new"), "target");
  EXPECT_EQ(read_file(here_ / "t/missing"), "source");
}

TEST_F(MpcopyOptions, UpdateLeavesANewerFileWhereAHardLinkWouldBe) {
  fs::create_directories(here_ / "s");
  write_file(here_ / "s/a", "source");
  fs::create_hard_link(here_ / "s/a", here_ / "s/b");
  fs::create_directory(here_ / "t");
  for (const char* name : {"t/a", "t/b"}) write_file(here_ / name, "target");
  for (const char* name : {"t/a", "t/b"}) testing::set_mtime(here_ / name, 4'000'000'000, 0);
  EXPECT_EQ(run({"-u", here_ / "s/.", here_ / "t"}), 0) << output_;
  EXPECT_FALSE(fs::equivalent(here_ / "t/a", here_ / "t/b"));
  EXPECT_EQ(read_file(here_ / "t/a") + read_file(here_ / "t/b"), "targettarget");
}

TEST_F(MpcopyOptions, ReflinkAlwaysLeavesNothingBehindWhereItFails) {
  write_file(here_ / "a", content_of(3'000'000));
  fs::create_directory(here_ / "t");
  if (run({"--reflink=always", "--piece-size=1M", here_ / "a", here_ / "t"}) == 0)
    GTEST_SKIP() << "it can be done here";
  EXPECT_TRUE(output_has("failed to clone")) << output_;
  EXPECT_TRUE(fs::is_empty(here_ / "t"));
}

TEST_F(MpcopyOptions, ExcludeLeavesOutWhatMatchesAnyOfThem) {
  make_tree(here_ / "s");
  EXPECT_EQ(run({"--exclude", "f?", "--exclude=deep/er/", "--exclude", "large", here_ / "s", here_ / "t"}), 0);
  EXPECT_FALSE(fs::exists(here_ / "t/f7"));
  EXPECT_FALSE(fs::exists(here_ / "t/deep/er"));
  EXPECT_FALSE(fs::exists(here_ / "t/deep/large"));
  EXPECT_TRUE(fs::is_symlink(here_ / "t/deep/link to directory"));
}

TEST_F(MpcopyOptions, VerifyPassesWhatLanded) {
  make_tree(here_ / "s");
  EXPECT_EQ(run({"--verify", "--piece-size=2M", here_ / "s", here_ / "t"}), 0) << output_;
  EXPECT_EQ(tree_at(here_ / "t"), tree_at(here_ / "s"));
}

TEST_F(MpcopyOptions, ReflinkIsAlwaysNeverOrAuto) {
  make_tree(here_ / "s");
  for (const char* when : {"auto", "never"}) {
    EXPECT_EQ(run({"--reflink", when, here_ / "s", here_ / when}), 0) << output_;
    EXPECT_EQ(tree_at(here_ / when), tree_at(here_ / "s"));
  }
  EXPECT_EQ(run({"--reflink=sometimes", here_ / "s", here_ / "t"}), 1);
  EXPECT_TRUE(output_has("Try 'mpcopy --help'")) << output_;
}

TEST_F(MpcopyOptions, BandwidthIsNotExceeded) {
  write_file(here_ / "a", content_of(1'500'000));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(run({"--bwlimit", "1M", "-j2", here_ / "a", here_ / "b"}), 0) << output_;
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds{1300});
  EXPECT_EQ(read_file(here_ / "b"), content_of(1'500'000));
}

TEST_F(MpcopyOptions, JsonIsAnObjectALine) {
  make_tree(here_ / "s");
  write_file(here_ / "s/deep/er/\"quoted\"\\", "1");
  fs::create_directories(here_ / "t/\xff\n");
  write_file(here_ / "s/\xff\n", "1");
  const std::string check =
      "import json, sys\n"
      "lines = [json.loads(line) for line in sys.stdin]\n"
      "assert [l['message'] for l in lines if l['type'] == 'error'], lines\n"
      "assert lines[-1] == {'type': 'end', 'status': 1, 'signal': 0}, lines[-1]\n"
      "last = [l for l in lines if l['type'] == 'progress'][-1]\n"
      "assert last['found_all'] and last['files'] == last['found_files'] - 1, last\n";
  testing::Program program({"/bin/sh", "-c",
                            "command -v python3 >/dev/null || exit 77\n"
                            "\"$0\" --json \"$1/s/.\" \"$1/t\" 2>/dev/null | python3 -c \"$2\"",
                            MPCOPY_PROGRAM, here_.path(), check});
  const int code = program.wait();
  if (code == 77) GTEST_SKIP() << "no python3 here";
  EXPECT_EQ(code, 0) << program.output();
}

TEST_F(MpcopyOptions, BarsAreABarWhereThereIsNoTerminal) {
  write_file(here_ / "a", "12345");
  EXPECT_EQ(run({"--bars", here_ / "a", here_ / "b"}), 0);
  EXPECT_EQ(output_.rfind("copying 100% 5/5 B, 1 files [", 0), 0U) << output_;
}

TEST_F(MpcopyOptions, ResumeContinuesALargeFileAndRemovesLeftovers) {
  write_file(here_ / "a", content_of(9'000'000));
  fs::create_directory(here_ / "t");
  struct stat info {};
  ASSERT_EQ(::stat((here_ / "a").c_str(), &info), 0);
  const std::string partial = here_ / ("t/" + partial_name("a", info));
  write_file(partial, content_of(9'000'000).substr(0, 4'000'000) + std::string(100, '?'));
  ASSERT_EQ(::stat(partial.c_str(), &info), 0);
  const ino_t inode = info.st_ino;
  write_file(here_ / ("t/" + temporary_name(1, 2)), "left over");
  EXPECT_EQ(run({"--resume", "--piece-size=1M", here_ / "a", here_ / "t"}), 0) << output_;
  EXPECT_EQ(tree_at(here_ / "t").size(), 2U);  // itself and the file
  EXPECT_EQ(read_file(here_ / "t/a"), content_of(9'000'000));
  ASSERT_EQ(::stat((here_ / "t/a").c_str(), &info), 0);
  EXPECT_EQ(info.st_ino, inode);
}

TEST_F(MpcopyOptions, WithoutResumeAPartialFileIsWrittenAnew) {
  write_file(here_ / "a", content_of(3'000'000));
  testing::write_sparse_file(here_ / "a", {{2U << 20U, "data"}}, 4U << 20U);
  fs::create_directory(here_ / "t");
  struct stat info {};
  ASSERT_EQ(::stat((here_ / "a").c_str(), &info), 0);
  write_file(here_ / ("t/" + partial_name("a", info)), std::string(5U << 20U, '?'));
  EXPECT_EQ(run({"--piece-size=1M", here_ / "a", here_ / "t"}), 0) << output_;
  EXPECT_EQ(read_file(here_ / "t/a"), read_file(here_ / "a"));
  EXPECT_EQ(testing::data_of(here_ / "t/a"), testing::data_of(here_ / "a"));
}

TEST_F(MpcopyOptions, ResumeCopiesOnlyWhatIsNotComplete) {
  make_tree(here_ / "s");
  ASSERT_EQ(run({here_ / "s", here_ / "t"}), 0);
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat((here_ / "t/deep/large").c_str(), &before), 0);
  fs::remove(here_ / "t/deep/er/and/deeper/f1");
  EXPECT_EQ(run({"--resume", here_ / "s/.", here_ / "t"}), 0) << output_;
  EXPECT_EQ(tree_at(here_ / "t"), tree_at(here_ / "s"));
  ASSERT_EQ(::stat((here_ / "t/deep/large").c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
}

TEST_F(MpcopyOptions, PathsMayBeLongerThanTheKernelTakesInOneCall) {
  const std::string name(200, 'd');
  std::string below;
  Fd here(::open(here_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::mkdirat(here.get(), "s", 0755), 0);
  here = Fd(::openat(here.get(), "s", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (int depth = 0; depth < 50; ++depth) {
    ASSERT_EQ(::mkdirat(here.get(), name.c_str(), 0755), 0);
    here = Fd(::openat(here.get(), name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    below += "/" + name;
  }
  ASSERT_GT(below.size(), 2U * PATH_MAX);
  const Fd file(::openat(here.get(), "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::write(file.get(), "12345", 5), 5);
  ASSERT_EQ(::linkat(here.get(), "file", here.get(), "again", 0), 0);
  EXPECT_EQ(run({here_ / "s", here_ / "t"}), 0) << output_.substr(0, 1000);
  const Fd copy = open_directory(here_ / ("t" + below), For::holding);
  ASSERT_TRUE(copy);
  struct stat info {};
  EXPECT_EQ(::fstatat(copy.get(), "file", &info, 0), 0);
  EXPECT_EQ(info.st_size, 5);
  EXPECT_EQ(info.st_nlink, 2U);
  testing::Program({"/bin/rm", "-rf", here_ / "s", here_ / "t"}).wait();
}

}  // namespace
}  // namespace mpcopy
