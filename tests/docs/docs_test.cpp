// Pages that readers follow: links lead somewhere, and the program at the top of the README is one that the tests run.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& file) {
  std::ifstream in{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

std::vector<fs::path> pages() {
  std::vector<fs::path> found;
  for (const auto& top : fs::directory_iterator{MP_SOURCE_DIR}) {
    const std::string name = top.path().filename().string();
    if (top.path().extension() == ".md") found.push_back(top.path());
    if (!top.is_directory() || name == "build" || name[0] == '.') continue;
    for (const auto& entry : fs::recursive_directory_iterator{top}) {
      if (entry.path().extension() == ".md") found.push_back(entry.path());
    }
  }
  return found;
}

// What stands in brackets after a text in brackets, outside of code.
std::vector<std::string> links_of(const fs::path& page) {
  const std::regex code{"`+[^`]*`+"};
  const std::regex link{R"(\]\(([^()\s#]+)[^()\s]*\))"};
  std::vector<std::string> links;
  std::ifstream in{page};
  bool fenced = false;
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("```", 0) == 0) fenced = !fenced;
    if (fenced || line.rfind("    ", 0) == 0) continue;
    line = std::regex_replace(line, code, "code");
    for (std::sregex_iterator found{line.begin(), line.end(), link}, end; found != end; ++found) {
      links.push_back((*found)[1].str());
    }
  }
  return links;
}

// Without comments and what stands before them: they are in the language of the page.
std::string without_comments(const std::string& code) { return std::regex_replace(code, std::regex{" *//[^\n]*"}, ""); }

TEST(Links, OfEveryPageLeadToSomethingThatIsThere) {
  int links = 0;
  for (const fs::path& page : pages()) {
    for (const std::string& link : links_of(page)) {
      if (link.find("://") != std::string::npos) continue;
      ++links;
      EXPECT_TRUE(fs::exists(page.parent_path() / link)) << page << " has a link to " << link;
    }
  }
  EXPECT_GT(links, 100);
}

TEST(Readme, BeginsWithTheProgramThatIsAnExample) {
  const fs::path tree{MP_SOURCE_DIR};
  const std::string program = content(tree / "examples" / "first.cpp");
  EXPECT_FALSE(program.empty());
  EXPECT_NE(content(tree / "README.md").find("```cpp\n" + program + "```\n"), std::string::npos);
  EXPECT_NE(without_comments(content(tree / "README.zh-CN.md")).find("```cpp\n" + without_comments(program) + "```\n"),
            std::string::npos);
}

}  // namespace
