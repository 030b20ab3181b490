// A directory of names for one test, which forked and executed processes find too.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "support/temporary_folder.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing::testing {

class NamesTest : public ::testing::Test {
 protected:
  NamesTest() { ::setenv("MULTIPROCESSING_RUNTIME_DIR", directory_.path().c_str(), 1); }
  ~NamesTest() override { ::unsetenv("MULTIPROCESSING_RUNTIME_DIR"); }

  [[nodiscard]] std::vector<std::string> entries() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  [[nodiscard]] std::filesystem::path directory() const { return directory_.path(); }

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
  const TemporaryFolder directory_;
};

}  // namespace multiprocessing::testing
