// Deaths while mpcopy copies: of its workers, of their supervisor, of itself.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "test_mpcopy.hpp"
#include "test_tree.hpp"

namespace mpcopy {
namespace {

namespace fs = std::filesystem;
using testing::children_of;
using testing::content_of;
using testing::Mpcopy;
using testing::Program;
using testing::tree_at;
using testing::write_file;

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

// scripts/check-mpcopy asks for more of them.
int kills(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}

class MpcopyKilledAtRandom : public MpcopyUnderFire {
 protected:
  [[nodiscard]] std::vector<std::string> copying(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"-j2", "--quiet", "--piece-size=1M", "-T", here_ / "s", here_ / "t"};
    arguments.insert(arguments.begin(), more.begin(), more.end());
    return command(arguments);
  }
  void sleep_for_a_while(unsigned longest) {
    const auto pause = std::chrono::microseconds(random_() % longest);
    std::this_thread::sleep_for(pause);  // when a kill hits is left to chance
  }
  std::mt19937 random_{std::random_device{}()};
};

TEST_F(MpcopyKilledAtRandom, LosesNothingHoweverManyWorkersDie) {
  multiprocessing::testing::Watchdog dog{std::chrono::seconds{3000}};
  const int wanted = kills("MPCOPY_WORKER_KILLS", 10);
  for (int killed = 0; killed < wanted;) {
    fs::remove_all(here_ / "t");
    Program program(copying({"--bwlimit=60M"}));
    while (program.is_running()) {
      sleep_for_a_while(60'000);
      const auto workers = workers_of(program);
      if (workers.empty() || killed >= wanted) continue;
      if (::kill(workers[random_() % workers.size()], SIGKILL) == 0) ++killed;
    }
    ASSERT_EQ(program.wait(), 0) << program.output();
    expect_equal_trees_and_no_leftovers();
    if (HasFailure()) return;
  }
}

TEST_F(MpcopyKilledAtRandom, ResumeCompletesWhatAKilledMpcopyLeft) {
  multiprocessing::testing::Watchdog dog{std::chrono::seconds{3000}};
  const int wanted = kills("MPCOPY_KILLS", 4);
  for (int killed = 0; killed < wanted;) {
    fs::remove_all(here_ / "t");
    for (bool resume = false;; resume = true) {
      Program program(copying(resume ? std::vector<std::string>{"--resume"} : std::vector<std::string>{}));
      sleep_for_a_while(250'000);
      if (program.is_running() && killed < wanted && ::kill(program.pid(), SIGKILL) == 0) ++killed;
      const int code = program.wait();
      if (code == -SIGKILL) continue;
      ASSERT_EQ(code, 0) << program.output();
      if (resume) break;
      fs::remove_all(here_ / "t");
    }
    expect_equal_trees_and_no_leftovers();
    if (HasFailure()) return;
  }
}

TEST_F(MpcopyKilledAtRandom, InterruptedKeepsTheBeginningOfALargeFileForResume) {
  Program program(copying({"--bwlimit=64K"}));  // no large file is whole before it is seen to have begun
  const auto has_partial = [&] {
    const auto files = temporary_files();
    return std::any_of(files.begin(), files.end(), [](const std::string& path) {
      struct stat info {};
      return path.size() > 5 && path.compare(path.size() - 5, 5, "-part") == 0 && ::stat(path.c_str(), &info) == 0 &&
             info.st_blocks > 0;
    });
  };
  while (program.is_running() && !has_partial()) continue;
  ::kill(program.pid(), SIGINT);
  EXPECT_EQ(program.wait(), -SIGINT) << program.output();
  EXPECT_NE(program.output().find("with --resume"), std::string::npos) << program.output();
  EXPECT_TRUE(has_partial());
  Program second(copying({"--resume"}));
  EXPECT_EQ(second.wait(), 0) << second.output();
  expect_equal_trees_and_no_leftovers();
}

}  // namespace
}  // namespace mpcopy
