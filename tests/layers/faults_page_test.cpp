// docs/faults.md names every test of the fault matrix, and no other.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>

namespace {

namespace fs = std::filesystem;

// Suite.Name of each line that matches.
std::set<std::string> names_in(const fs::path& file, const std::regex& pattern) {
  std::set<std::string> names;
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);) {
    std::smatch found;
    if (line.find("Faults") != std::string::npos && std::regex_search(line, found, pattern)) {
      names.insert(found[1].str() + "." + found[2].str());
    }
  }
  return names;
}

std::set<std::string> tests_of_faults() {
  const std::regex test{R"(^TEST(?:_P|_F)?\((\w+), (Faults\d\w*)\))"};
  std::set<std::string> names;
  for (const char* folder : {"src", "apps", "tests"}) {
    for (const auto& entry : fs::recursive_directory_iterator{fs::path{MP_SOURCE_DIR} / folder}) {
      if (entry.path().extension() != ".cpp") continue;
      names.merge(names_in(entry.path(), test));
    }
  }
  return names;
}

TEST(FaultsPage, NamesEveryTestOfTheFaultMatrixAndNoOther) {
  const std::set<std::string> on_page =
      names_in(fs::path{MP_SOURCE_DIR} / "docs" / "faults.md", std::regex{R"(`(\w+)\.(Faults\d\w*)`)"});
  const std::set<std::string> there = tests_of_faults();
  EXPECT_GT(there.size(), 100U);
  for (const std::string& name : there) EXPECT_TRUE(on_page.contains(name)) << name << " is not in docs/faults.md";
  for (const std::string& name : on_page) EXPECT_TRUE(there.contains(name)) << name << " is in docs/faults.md only";
}

}  // namespace
