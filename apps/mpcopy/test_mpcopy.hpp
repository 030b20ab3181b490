// For mpcopy's tests: the program as a user runs it, on a tree with everything that it keeps.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "support/watchdog.hpp"
#include "test_program.hpp"
#include "test_tree.hpp"

namespace mpcopy::testing {

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
    fs::create_hard_link(root + "/deep/er/and/deeper/f7", root + "/empty/again f7");
    fs::create_hard_link(root + "/deep/er/and/deeper/f7", root + "/f7");
    write_sparse_file(root + "/sparse", {{1U << 20U, "data"}, {3U << 20U, "more"}}, 5U << 20U);
    ::mkfifo((root + "/fifo").c_str(), 0640);
    ::setxattr((root + "/deep/large").c_str(), "user.note", "kept", 4, 0);
    ::setxattr((root + "/empty").c_str(), "user.note", "too", 3, 0);
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

  multiprocessing::testing::Watchdog dog_{std::chrono::seconds{200}};
  TemporaryFolder here_;
  std::string output_;  // of the last run
};

}  // namespace mpcopy::testing
