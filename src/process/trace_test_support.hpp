// What is in a trace file.
#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/json.hpp"

namespace multiprocessing::testing {

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
