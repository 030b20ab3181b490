// A folder for trace files, and what is in one.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/json.hpp"

namespace multiprocessing::testing {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "mp-trace-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string file(const std::string& name = "run.json") const { return (path_ / name).string(); }
  [[nodiscard]] bool is_empty() const { return std::filesystem::is_empty(path_); }

 private:
  std::filesystem::path path_;
};

inline std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Events of one kind, and the JSON strict.
struct Events {
  explicit Events(const std::string& path) : all(read_json(text_of(path)).items) {}
  [[nodiscard]] std::vector<Json> with(const std::string& field, const std::string& text) const {
    std::vector<Json> found;
    for (const Json& event : all) {
      if (event[field].text == text) found.push_back(event);
    }
    return found;
  }
  [[nodiscard]] std::vector<Json> named(const std::string& name) const { return with("name", name); }
  std::vector<Json> all;
};

}  // namespace multiprocessing::testing
