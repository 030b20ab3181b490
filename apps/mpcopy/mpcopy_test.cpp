// mpcopy as its users meet it: command lines, exit codes, messages, and deaths while it copies.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "support/watchdog.hpp"
#include "test_program.hpp"
#include "test_tree.hpp"

namespace mpcopy {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using multiprocessing::testing::Watchdog;
using testing::children_of;
using testing::content_of;
using testing::Program;
using testing::read_file;
using testing::TemporaryFolder;
using testing::tree_at;
using testing::write_file;

class Mpcopy : public ::testing::Test {
 protected:
  static std::vector<std::string> command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), MPCOPY_PROGRAM);
    return arguments;
  }
  // Runs it to its end.
  int run(
      std::vector<std::string> arguments, const std::function<void()>& prepare = [] {}) {
    Program program(command(std::move(arguments)), prepare);
    const int code = program.wait();
    output_ = program.output();
    return code;
  }
  [[nodiscard]] bool output_has(const std::string& text) const { return output_.find(text) != std::string::npos; }

  // A tree with everything that mpcopy keeps.
  void make_tree(const std::string& root) const {
    fs::create_directories(root + "/deep/er/and/deeper");
    fs::create_directories(root + "/empty");
    write_file(root + "/empty file", "");
    write_file(root + "/deep/er/with\nnewline", "1");
    write_file(root + "/deep/er/not \xff\xfe utf-8", "22");
    write_file(root + "/deep/large", content_of(9'000'000));
    for (int i = 0; i < 300; ++i) {
      write_file(root + "/deep/er/and/deeper/f" + std::to_string(i), content_of(static_cast<std::size_t>(i) * 37));
    }
    fs::create_symlink("deep/large", root + "/link");
    fs::create_symlink("/no/such/place", root + "/dangling");
    fs::create_symlink("..", root + "/deep/link to directory");
    ::chmod((root + "/deep/large").c_str(), 0604);
    ::chmod((root + "/deep/er").c_str(), 0510);
    testing::set_mtime(root + "/deep/large", 1'234'567'890, 987'654'321);
    testing::set_mtime(root + "/dangling", 1'234'567'891, 1);
    testing::set_mtime(root + "/deep/er/and", 1'234'567'892, 2);
    testing::set_mtime(root + "/empty", 1'234'567'893, 3);
  }

  Watchdog dog_{120s};
  TemporaryFolder here_;
  std::string output_;  // of the last run
};

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
  EXPECT_TRUE(output_has("Usage: mpcopy [OPTIONS] SRC... DST")) << output_;
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

TEST_F(Mpcopy, ReportsSpecialFilesAndCopiesTheRest) {
  make_tree(here_ / "s");
  ::mkfifo((here_ / "s/fifo").c_str(), 0600);
  EXPECT_EQ(run({here_ / "s", here_ / "t"}), 1);
  EXPECT_TRUE(output_has("mpcopy: skipped special file '" + (here_ / "s/fifo") + "'\n")) << output_;
  fs::remove(here_ / "s/fifo");
  auto expected = tree_at(here_ / "s");
  auto copied = tree_at(here_ / "t");
  expected.erase("");  // its time changed with the fifo
  copied.erase("");
  EXPECT_EQ(copied, expected);
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

TEST_F(Mpcopy, ReportsPathsThatBecomeTooLongAndCopiesTheRest) {
  std::string deep = here_ / "s";
  while (deep.size() < 3900) deep += "/" + std::string(150, 'd');
  fs::create_directories(deep);
  write_file(deep + "/f", "1");
  write_file(here_ / "s/g", "2");
  const std::string target = here_ / std::string(250, 't');
  EXPECT_EQ(run({here_ / "s", target}), 1);
  EXPECT_TRUE(output_has("File name too long")) << output_;
  EXPECT_EQ(read_file(target + "/g"), "2");
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

// A copy that goes on long enough for something to happen to it.
class MpcopyUnderFire : public Mpcopy {
 protected:
  static constexpr std::size_t kWorkers = 2;  // as -j2 says
  static constexpr int kLarge = 4;
  static constexpr std::size_t kLargeBytes = 16'000'000;

  MpcopyUnderFire() {
    make_tree(here_ / "s");
    fs::create_directory(here_ / "s/many");
    for (int i = 0; i < kLarge; ++i) write_file(large(i), content_of(kLargeBytes, static_cast<unsigned>(i)));
    for (int i = 0; i < 1000; ++i) write_file(here_ / ("s/many/f" + std::to_string(i)), content_of(1000));
  }
  [[nodiscard]] std::string large(int i) const { return here_ / ("s/large" + std::to_string(i)); }

  [[nodiscard]] std::vector<std::string> temporary_files() const {
    std::vector<std::string> found;
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(here_ / "t", ignored)) {
      if (entry.path().filename().string().rfind(".mpcopy-", 0) == 0) found.push_back(entry.path().string());
    }
    return found;
  }
  // The workers: children of the pool's supervisor, which is a child of the program.
  static std::vector<pid_t> workers_of(const Program& program) {
    std::vector<pid_t> workers;
    for (const pid_t supervisor : children_of(program.pid())) {
      const auto some = children_of(supervisor);
      workers.insert(workers.end(), some.begin(), some.end());
    }
    return workers;
  }
  // A program that is in the middle of a file, with all workers stopped (by SIGSTOP): what happens next happens in
  // mid-copy.  One that was done before it could be stopped does not count.
  struct Stopped {
    std::unique_ptr<Program> program;
    std::vector<pid_t> workers;
  };
  [[nodiscard]] Stopped stopped_in_mid_copy() const {
    for (;;) {
      fs::remove_all(here_ / "t");
      Stopped one{std::make_unique<Program>(command({"-j2", here_ / "s", here_ / "t"})), {}};
      while (one.program->is_running() && (one.workers.size() < kWorkers || temporary_files().empty())) {
        one.workers = workers_of(*one.program);
      }
      for (const pid_t worker : one.workers) stop(worker);
      if (one.workers.size() == kWorkers && one.program->is_running() && !temporary_files().empty()) return one;
      for (const pid_t worker : one.workers) ::kill(worker, SIGCONT);
      one.program->wait();
    }
  }
  // Returns when it has stopped, or is no more.
  static void stop(pid_t process) {
    ::kill(process, SIGSTOP);
    std::string status;
    do {
      std::ifstream file("/proc/" + std::to_string(process) + "/stat");
      if (!std::getline(file, status)) return;
      status.erase(0, status.rfind(')') + 2);
    } while (status[0] != 'T' && status[0] != 'Z');
  }
  void expect_equal_trees_and_no_leftovers() {
    EXPECT_EQ(tree_at(here_ / "t"), tree_at(here_ / "s"));
    EXPECT_EQ(temporary_files(), std::vector<std::string>{});
  }
};

TEST_F(MpcopyUnderFire, Faults32_LosesNothingWhenTwoWorkersAreKilled) {
  const auto [program, workers] = stopped_in_mid_copy();
  for (const pid_t worker : workers) EXPECT_EQ(::kill(worker, SIGKILL), 0);
  EXPECT_EQ(program->wait(), 0) << program->output();
  expect_equal_trees_and_no_leftovers();
}

TEST_F(MpcopyUnderFire, Faults32_LosesNothingWhenTheSupervisorOfItsPoolIsKilled) {
  const auto [program, workers] = stopped_in_mid_copy();
  for (const pid_t supervisor : children_of(program->pid())) EXPECT_EQ(::kill(supervisor, SIGKILL), 0);
  for (const pid_t worker : workers) ::kill(worker, SIGCONT);
  EXPECT_EQ(program->wait(), 0) << program->output();
  expect_equal_trees_and_no_leftovers();
}

TEST_F(MpcopyUnderFire, InterruptedLeavesWholeFilesOnlyAndNobodyBehind) {
  const auto [program, workers] = stopped_in_mid_copy();
  ::kill(program->pid(), SIGINT);
  EXPECT_EQ(program->wait(), -SIGINT) << program->output();
  EXPECT_NE(program->output().find("mpcopy: interrupted: "), std::string::npos) << program->output();
  EXPECT_EQ(temporary_files(), std::vector<std::string>{});
  for (int i = 0; i < kLarge; ++i) {
    const std::string copy = here_ / ("t/large" + std::to_string(i));
    if (!fs::exists(copy)) continue;
    EXPECT_EQ(testing::description_of(copy), testing::description_of(large(i)));
  }
  for (const pid_t worker : workers) EXPECT_NE(::kill(worker, 0), 0) << worker;
}

}  // namespace
}  // namespace mpcopy
