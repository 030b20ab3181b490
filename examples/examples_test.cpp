// Each example, as a user runs it, and what it prints.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "examples/program.hpp"
#include "support/temporary_folder.hpp"
#include "support/watchdog.hpp"

namespace {

using multiprocessing::examples::Program;
using multiprocessing::testing::Watchdog;
using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

class Example : public ::testing::Test {
 protected:
  // All that it prints, when it has ended well.
  static Lines output(std::vector<std::string> command) {
    Program program(std::move(command));
    Lines lines;
    for (std::string line = program.line(); !line.empty(); line = program.line()) lines.push_back(std::move(line));
    EXPECT_EQ(program.end(), 0);
    return lines;
  }
  static Lines sorted(Lines lines) {
    std::sort(lines.begin(), lines.end());
    return lines;
  }
  static bool before(const Lines& lines, const std::string& first, const std::string& second) {
    return std::find(lines.begin(), lines.end(), first) < std::find(lines.begin(), lines.end(), second);
  }

  Watchdog dog_{120s};
  const multiprocessing::testing::TemporaryFolder folder_;
};

TEST_F(Example, First) {
  Lines lines = output({"first"});
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[3].rfind("worker ", 0), 0U);
  EXPECT_NE(lines[3].find(" died of signal 11 (Segmentation fault) while it ran apply of "), std::string::npos);
  lines.erase(lines.begin() + 3);
  EXPECT_EQ(lines, (Lines{"0", "10", "20", "40", "50"}));
}

TEST_F(Example, StartAndJoin) {
  const Lines lines = output({"start_and_join"});
  EXPECT_EQ(sorted(lines), (Lines{"child 1 is done", "child 1 is running", "child 2 is done", "child 2 is running",
                                  "exit codes 0 and 0", "main goes on"}));
  EXPECT_EQ(lines.back(), "exit codes 0 and 0");
  EXPECT_TRUE(before(lines, "child 1 is running", "child 1 is done"));
}

TEST_F(Example, Subclass) {
  EXPECT_EQ(output({"subclass"}), (Lines{"Process-1 greets Ada from a process of its own",
                                         "Greeter of Bob greets Bob from a process of its own"}));
}

TEST_F(Example, IsolatedMemory) {
  EXPECT_EQ(output({"isolated_memory"}), (Lines{"child:  plain 0, shared 0", "parent: plain 100, shared 0"}));
}

TEST_F(Example, PidsAndParents) {
  const Lines lines = output({"pids_and_parents"});
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[0].rfind("MainProcess: pid ", 0), 0U);
  EXPECT_EQ(lines[1], "before start() there is no pid");
  EXPECT_EQ(lines.back(), "0 children are alive");
  for (const std::string name : {"Process-1", "a name of its own"}) {
    EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.rfind(name + ": pid ", 0) == 0 && line.find(", child of MainProcess, pid ") != std::string::npos;
    })) << name;
  }
}

TEST_F(Example, Daemons) {
  EXPECT_EQ(sorted(output({"daemons", "child"})), (Lines{"main is done", "the child is done", "the child works"}));
  const Lines ended = output({"daemons", "daemon"});
  EXPECT_EQ(std::count(ended.begin(), ended.end(), "main is done"), 1);
  EXPECT_EQ(std::count(ended.begin(), ended.end(), "the child is done"), 0);
  EXPECT_EQ(output({"daemons", "joined"}), (Lines{"the child works", "the child is done", "main is done"}));
}

TEST_F(Example, Mailers) { EXPECT_EQ(output({"mailers"}), (Lines{"10 mailers have sent 5000 mails"})); }

TEST_F(Example, Tickets) {
  EXPECT_EQ(output({"tickets"}), (Lines{"10 sold, 0 left"}));
  EXPECT_EQ(output({"tickets", "--no-lock"}).size(), 1U);  // whatever it says
}

TEST_F(Example, QueueOfFive) {
  EXPECT_EQ(output({"queue_of_five"}),
            (Lines{"5 of 5: full", "put_nowait: full", "put with a timeout: still full", "somebody takes 1",
                   "then 6 went in", "2 3 4 5 6 came out: empty", "get_nowait: empty"}));
}

TEST_F(Example, CooksAndEaters) { EXPECT_EQ(output({"cooks_and_eaters"}), (Lines{"30 buns were made and eaten"})); }

TEST_F(Example, DownloadAndProcess) {
  EXPECT_EQ(output({"download_and_process"}), (Lines{"page 1 has 2 words", "page 2 has 3 words", "page 3 has 4 words",
                                                     "page 4 has 5 words", "page 5 has 6 words"}));
}

TEST_F(Example, PoolOfThree) { EXPECT_EQ(output({"pool_of_three"}), (Lines{"10 tasks done by at most 3 workers"})); }

TEST_F(Example, ApplyAndCallbacks) {
  const Lines lines = output({"apply_and_callbacks"});  // callbacks come from a thread of the pool
  EXPECT_EQ(sorted(lines), (Lines{"apply: 101", "apply_async: 102", "apply_async: not ready yet",
                                  "called back with 103", "called back with an error", "the error: x is negative"}));
  EXPECT_TRUE(before(lines, "apply: 101", "apply_async: 102"));
}

TEST_F(Example, MapAndImap) {
  const std::string squares = ": 0 1 4 9 16 25 36 49 64 81";
  EXPECT_EQ(output({"map_and_imap"}), (Lines{"map" + squares, "map, chunks of 4" + squares, "map_async" + squares,
                                             "starmap: 3 7", "imap" + squares, "imap_unordered, sorted" + squares}));
}

TEST_F(Example, JoinableQueue) {
  EXPECT_EQ(output({"joinable_queue"}), (Lines{"three consumers have added 1 to 1000: 500500"}));
}

TEST_F(Example, CopyFolder) {
  for (int i = 0; i < 20; ++i) {
    folder_.write("from/" + std::to_string(i % 3) + "/" + std::to_string(i), std::string(1000, 'x'));
  }
  EXPECT_EQ(output({"copy_folder", folder_ / "from", folder_ / "to"}), (Lines{"20 files copied"}));
  const std::string compare = "diff -r " + (folder_ / "from") + " " + (folder_ / "to");
  EXPECT_EQ(std::system(compare.c_str()), 0);
}

TEST_F(Example, HostileParser) {
  EXPECT_EQ(output({"hostile_parser"}),
            (Lines{"<a><b>: 2 brackets", "<!crash>: died of signal 11", "<p>: 1 brackets", "<!loop>: took too long",
                   "<ul><li><li>: 3 brackets", "<!eat>: took too much memory", "<!exit>: exited with code 3",
                   "<q>: 1 brackets"}));
}

TEST_F(Example, SolverWithTimeouts) {
  EXPECT_EQ(output({"solver_with_timeouts"}),
            (Lines{"easy: 4 5", "impossible: there is none", "hopeless: given up", "easy, too: 7 11 13"}));
}

TEST_F(Example, Mandelbrot) {
  const std::string file = folder_ / "picture.png";
  EXPECT_EQ(output({"mandelbrot", file, "90"}), (Lines{file + ": 90 x 60"}));
  std::ifstream in(file, std::ios::binary);
  const std::string png{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(png.substr(png.size() - 8, 4), "IEND");
}

TEST_F(Example, Timeline) {
  const std::string run = folder_ / "run.json";
  ::setenv("MULTIPROCESSING_TRACE", run.c_str(), 1);
  const Lines lines = output({"timeline"});
  ::unsetenv("MULTIPROCESSING_TRACE");
  EXPECT_EQ(lines, (Lines{"one page is lost: its worker died of signal 11", "19 of 20 pages are good"}));
  std::ifstream in(run);
  const std::string trace{std::istreambuf_iterator<char>(in), {}};
  EXPECT_NE(trace.find("\"outcome\":\"death\""), std::string::npos);
}

TEST_F(Example, WordCount) {
  folder_.write("one", "To be, or not to be");
  folder_.write("deep/two", "that is the question: to");
  EXPECT_EQ(output({"word_count", folder_.path(), "2"}), (Lines{"to 3", "be 2"}));
}

TEST_F(Example, Pipeline) {
  EXPECT_EQ(output({"pipeline"}), (Lines{"10000 bytes of 100 images saved, never more than 10 waiting: true"}));
}

}  // namespace
