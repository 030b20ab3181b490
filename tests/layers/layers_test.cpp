// The order of the layers holds in the whole tree, and the scan that says so can find a breach.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "layers/include_scan.hpp"
#include "layers/public_headers.hpp"
#include "support/temporary_folder.hpp"

namespace multiprocessing::layers {
namespace {

// MP_LAYERS and MP_SOURCE_DIR come from CMake, which builds the layers from the same list.
Rules rules_of_this_project() {
  Rules rules{.layers = {}, .public_headers = kPublicHeaders};
  std::istringstream names{MP_LAYERS};
  for (std::string name; names >> name;) rules.layers.push_back(name);
  rules.layers.emplace_back(kUmbrella);
  return rules;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

TEST(Layers, NoFileIncludesALayerAboveItsOwn) {
  EXPECT_EQ(joined(find_offences(MP_SOURCE_DIR, rules_of_this_project())), "");
}

// A small tree of its own, with the layers low < high, for planting breaches.
class LayerScan : public ::testing::Test {
 protected:
  LayerScan() {
    write("src/low/a.hpp", "#include <vector>\n");
    write("src/high/b.cpp", "#include \"low/a.hpp\"\n");
  }

  void write(const char* file, const std::string& text) const { root_.write(file, text); }

  std::string offences() const {
    return joined(find_offences(root_.path(), {.layers = {"low", "high"}, .public_headers = public_headers_}));
  }

  const multiprocessing::testing::TemporaryFolder root_;
  std::map<std::string, std::string> public_headers_;
};

TEST_F(LayerScan, AllowsIncludesThatPointDown) { EXPECT_EQ(offences(), ""); }

TEST_F(LayerScan, FindsAnIncludeThatPointsUp) {
  write("src/high/b.hpp", "");
  write("src/low/a.cpp", "// a comment\n#  include \"high/b.hpp\"\n");
  EXPECT_EQ(offences(), "src/low/a.cpp:2 of layer low includes high/b.hpp of the higher layer high\n");
}

TEST_F(LayerScan, FindsAnUpwardIncludeWrittenAsARelativePath) {
  write("src/high/b.hpp", "");
  write("src/low/a.cpp", "#include \"../high/b.hpp\"\n");
  EXPECT_NE(offences(), "");
}

TEST_F(LayerScan, TakesASystemHeaderNamedLikeALayerForWhatItIs) {
  write("src/low/a.cpp", "#include <high>\n");
  EXPECT_EQ(offences(), "");
}

TEST_F(LayerScan, FindsAPublicHeaderOfAHigherLayer) {
  public_headers_ = {{"b.hpp", "high"}};
  write("include/multiprocessing/b.hpp", "");
  write("src/low/a.cpp", "#include <multiprocessing/b.hpp>\n");
  EXPECT_EQ(offences(), "src/low/a.cpp:1 of layer low includes multiprocessing/b.hpp of the higher layer high\n");
}

TEST_F(LayerScan, FindsAPublicHeaderThatIncludesUpward) {
  public_headers_ = {{"detail/a.hpp", "low"}, {"b.hpp", "high"}};
  write("include/multiprocessing/b.hpp", "");
  write("include/multiprocessing/detail/a.hpp", "#include \"multiprocessing/b.hpp\"\n");
  EXPECT_NE(offences(), "");
}

TEST_F(LayerScan, AsksForTheLayerOfANewPublicHeader) {
  write("include/multiprocessing/new.hpp", "");
  EXPECT_EQ(offences(),
            "include/multiprocessing/new.hpp belongs to no layer: add it to the table of public headers"
            " (tests/layers), or its folder to MULTIPROCESSING_LAYERS\n");
}

TEST_F(LayerScan, AsksForTheLayerOfANewFolder) {
  write("src/middle/c.cpp", "");
  EXPECT_NE(offences(), "");
}

TEST_F(LayerScan, FindsATableEntryWithoutItsHeader) {
  public_headers_ = {{"gone.hpp", "low"}};
  EXPECT_EQ(offences(), "the table of public headers names gone.hpp, which does not exist\n");
}

TEST_F(LayerScan, FindsAPublicHeaderThatLeavesItsNamesHidden) {
  public_headers_ = {{"a.hpp", "low"}, {"b.hpp", "low"}, {"c.hpp", "low"}};
  const std::string include = "#include \"multiprocessing/c.hpp\"\n";
  write("include/multiprocessing/a.hpp", include + "namespace a {}\n");
  write("include/multiprocessing/b.hpp",
        include + "#pragma GCC visibility push(default)\nnamespace b {}\n#pragma GCC visibility pop\n");
  write("include/multiprocessing/c.hpp", "");
  EXPECT_EQ(offences(),
            "include/multiprocessing/a.hpp needs '#pragma GCC visibility push(default)' before its first namespace"
            " and pop after its last\n");
}

TEST_F(LayerScan, FindsAPublicHeaderThatDoesNotSayWhichLanguageItNeeds) {
  public_headers_ = {{"a.hpp", "low"}};
  write("include/multiprocessing/a.hpp",
        "#include <span>\n#pragma GCC visibility push(default)\nnamespace a {}\n#pragma GCC visibility pop\n");
  EXPECT_EQ(offences(),
            "include/multiprocessing/a.hpp includes no header of ours: it needs multiprocessing/detail/language.hpp\n");
}

}  // namespace
}  // namespace multiprocessing::layers
