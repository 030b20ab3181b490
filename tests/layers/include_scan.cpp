#include "layers/include_scan.hpp"

#include <algorithm>
#include <fstream>
#include <regex>
#include <stdexcept>

namespace multiprocessing::layers {
namespace fs = std::filesystem;
namespace {

bool is_source(const fs::path& file) { return file.extension() == ".hpp" || file.extension() == ".cpp"; }

std::vector<fs::path> sources_below(const fs::path& folder) {
  std::vector<fs::path> found;
  if (!fs::exists(folder)) return found;
  for (const auto& entry : fs::recursive_directory_iterator{folder}) {
    if (entry.is_regular_file() && is_source(entry.path())) found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

struct Include {
  int line;
  std::string target;  // as written
};

std::ifstream opened(const fs::path& file) {
  std::ifstream stream{file};
  if (!stream) throw std::runtime_error("cannot read " + file.string());
  return stream;
}

std::vector<Include> includes_of(const fs::path& file) {
  static const std::regex pattern{R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])"};
  std::ifstream stream = opened(file);
  std::vector<Include> found;
  std::string text;
  for (int line = 1; std::getline(stream, text); ++line) {
    std::smatch match;
    if (std::regex_search(text, match, pattern)) found.push_back({line, match[1]});
  }
  return found;
}

// The names that a header declares are visible outside of a shared library that is compiled with -fvisibility=hidden.
bool makes_its_names_visible(const fs::path& header) {
  std::ifstream stream = opened(header);
  bool pushed = false;
  for (std::string line; std::getline(stream, line);) {
    if (line == "#pragma GCC visibility push(default)") pushed = true;
    if (line == "#pragma GCC visibility pop") pushed = false;
    if (line.starts_with("namespace ") && !pushed) return false;
  }
  return !pushed;
}

// What declares something includes detail/language.hpp, by way of any header of ours, so that a compiler for an older
// language says so instead of what it does not understand.
bool says_its_language(const fs::path& header) {
  const std::vector<Include> includes = includes_of(header);
  if (std::any_of(includes.begin(), includes.end(),
                  [](const Include& include) { return include.target.starts_with("multiprocessing/"); })) {
    return true;
  }
  std::ifstream stream = opened(header);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("namespace ")) return false;
  }
  return true;
}

class Scan {
 public:
  Scan(const fs::path& root, const Rules& rules)
      : src_{root / "src"}, include_{root / "include"}, root_{root}, rules_{rules} {}

  std::vector<std::string> run() && {
    for (const auto& tree : {include_, src_}) {
      for (const auto& file : sources_below(tree)) check_file(file);
    }
    for (const auto& header : sources_below(include_)) {
      if (!makes_its_names_visible(header)) {
        offences_.push_back(shown(header) + " needs '#pragma GCC visibility push(default)' before its first namespace" +
                            " and pop after its last");
      }
      if (!says_its_language(header)) {
        offences_.push_back(shown(header) +
                            " includes no header of ours: it needs multiprocessing/detail/language.hpp");
      }
    }
    for (const auto& [header, layer] : rules_.public_headers) {
      if (!fs::exists(include_ / "multiprocessing" / header)) {
        offences_.push_back("the table of public headers names " + header + ", which does not exist");
      }
    }
    return std::move(offences_);
  }

 private:
  void check_file(const fs::path& file) {
    const auto own = rank_of(file);
    if (!own) {
      offences_.push_back(shown(file) + " belongs to no layer: add it to the table of public headers" +
                          " (tests/layers), or its folder to MULTIPROCESSING_LAYERS");
      return;
    }
    for (const auto& [line, target] : includes_of(file)) {
      const auto included = resolve(file, target);
      if (!included) continue;  // of the system, or of a package
      const auto theirs = rank_of(*included);
      if (theirs && *theirs > *own) {
        offences_.push_back(shown(file) + ":" + std::to_string(line) + " of layer " + name(*own) + " includes " +
                            target + " of the higher layer " + name(*theirs));
      }
    }
  }

  // The file of ours that an include directive means.
  std::optional<fs::path> resolve(const fs::path& from, const std::string& target) const {
    for (const auto& folder : {from.parent_path(), include_, src_}) {
      auto candidate = (folder / target).lexically_normal();
      // A file: <memory> is not the folder src/memory.
      if (fs::is_regular_file(candidate) && rank_of(candidate)) return candidate;
    }
    return std::nullopt;
  }

  // Position of the file's layer in rules_.layers; nullopt where it has none.
  std::optional<std::size_t> rank_of(const fs::path& file) const {
    const auto layer = layer_of(file);
    const auto found = std::ranges::find(rules_.layers, layer);
    if (found == rules_.layers.end()) return std::nullopt;
    return static_cast<std::size_t>(found - rules_.layers.begin());
  }

  std::string layer_of(const fs::path& file) const {
    const auto header = file.lexically_relative(include_ / "multiprocessing").generic_string();
    if (const auto entry = rules_.public_headers.find(header); entry != rules_.public_headers.end()) {
      return entry->second;
    }
    return file.lexically_relative(src_).begin()->string();
  }

  std::string shown(const fs::path& file) const { return file.lexically_relative(root_).string(); }
  const std::string& name(std::size_t rank) const { return rules_.layers[rank]; }

  fs::path src_;
  fs::path include_;
  fs::path root_;
  const Rules& rules_;
  std::vector<std::string> offences_;
};

}  // namespace

std::vector<std::string> find_offences(const fs::path& root, const Rules& rules) {
  return Scan{root.lexically_normal(), rules}.run();
}

}  // namespace multiprocessing::layers
