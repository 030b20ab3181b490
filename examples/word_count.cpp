// The commonest words of all files below a folder: counted file by file in a pool, added up here as they come.
//
//   word_count FOLDER [HOW_MANY]
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <multiprocessing/multiprocessing.hpp>
#include <string>
#include <utility>
#include <vector>

namespace mp = multiprocessing;
namespace fs = std::filesystem;

using Counts = std::map<std::string, long>;

Counts count_words(const std::string& file) {
  Counts counts;
  std::ifstream in(file);
  std::string word;
  for (auto c = std::istreambuf_iterator<char>(in); c != std::istreambuf_iterator<char>(); ++c) {
    if (std::isalpha(static_cast<unsigned char>(*c)) != 0) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
    } else if (!word.empty()) {
      ++counts[std::exchange(word, {})];
    }
  }
  if (!word.empty()) ++counts[word];
  return counts;
}

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: word_count FOLDER [HOW_MANY]\n";
    return 2;
  }
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(argv[1])) {
    if (entry.is_regular_file() && !entry.is_symlink()) files.push_back(entry.path().string());
  }
  mp::Pool pool;
  Counts all;
  for (const Counts& counts : mp::progress(pool.imap_unordered(count_words, files), {.label = "counting"})) {
    for (const auto& [word, count] : counts) all[word] += count;
  }
  std::vector<std::pair<long, std::string>> ranking;
  for (const auto& [word, count] : all) ranking.emplace_back(-count, word);
  std::sort(ranking.begin(), ranking.end());
  ranking.resize(std::min<std::size_t>(ranking.size(), argc > 2 ? static_cast<std::size_t>(std::atoi(argv[2])) : 10));
  for (const auto& [count, word] : ranking) std::cout << word << ' ' << -count << '\n';
}
