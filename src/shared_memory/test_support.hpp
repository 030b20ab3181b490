// A directory of names for one test, which forked and executed processes find too.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing::testing {

class NamesTest : public ::testing::Test {
 protected:
  NamesTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "names.XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = pattern;
    ::setenv("MULTIPROCESSING_RUNTIME_DIR", directory_.c_str(), 1);
  }
  ~NamesTest() override {
    ::unsetenv("MULTIPROCESSING_RUNTIME_DIR");
    std::filesystem::remove_all(directory_);
  }

  [[nodiscard]] std::vector<std::string> entries() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

  // The errno with which it fails; 0: it does not.
  template <class F>
  static int error_of(F&& f) {
    try {
      f();
      return 0;
    } catch (const OsError& error) {
      return error.code().value();
    }
  }

 private:
  Watchdog dog_{std::chrono::seconds{120}};
  std::filesystem::path directory_;
};

}  // namespace multiprocessing::testing
