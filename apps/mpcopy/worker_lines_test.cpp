#include "worker_lines.hpp"

#include <gtest/gtest.h>

#include <clocale>

namespace mpcopy {
namespace {

TEST(WorkerLine, ShowsShareWorkerAndPath) {
  EXPECT_EQ(worker_line({.worker = 4711, .path = "a/b", .bytes = 42, .all_bytes = 100}, 80),
            "[####------]  42%  4711  'a/b'");
}

TEST(WorkerLine, OfAFileWithoutContentIsFull) {
  EXPECT_EQ(worker_line({.worker = 1, .path = "a"}, 80), "[##########] 100%  1  'a'");
}

TEST(WorkerLine, KeepsTheEndOfAPathThatIsTooLong) {
  const Running running{.worker = 1, .path = "a/very/long/path/to/a/file", .bytes = 0, .all_bytes = 1};
  EXPECT_EQ(worker_line(running, 30), "[----------]   0%  1  /a/file'");
  EXPECT_EQ(worker_line(running, 5), "[----");
}

TEST(WorkerLine, CountsColumnsAndNotBytes) {
  if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) GTEST_SKIP() << "no C.UTF-8 locale here";
  EXPECT_EQ(worker_line({.worker = 1, .path = "копия 漢字"}, 29), "[##########] 100%  1  я 漢字'");
  std::setlocale(LC_CTYPE, "C");
}

}  // namespace
}  // namespace mpcopy
