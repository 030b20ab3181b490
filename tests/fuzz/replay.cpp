// What runs a fuzz target without a fuzzer: its seeds, the files of a folder, and mutations of both, the same ones each
// time.
//
//   fuzz_<target>_replay [--mutations N] FOLDER
//   fuzz_<target>_replay --write-seeds FOLDER
#include <algorithm>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>

#include "fuzz/fuzz.hpp"

namespace {

namespace fs = std::filesystem;
using multiprocessing::fuzz::Bytes;

Bytes read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  Bytes bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

std::vector<Bytes> inputs(const fs::path& folder) {
  std::vector<Bytes> all = multiprocessing::fuzz::seeds();
  std::vector<fs::path> files;
  if (fs::exists(folder)) std::copy(fs::directory_iterator(folder), {}, std::back_inserter(files));
  std::sort(files.begin(), files.end());  // the same mutations on every machine
  for (const fs::path& file : files) all.push_back(read(file));
  return all;
}

Bytes mutated(Bytes bytes, const std::vector<Bytes>& others, std::mt19937& random) {
  constexpr std::uint8_t interesting[] = {0, 1, 2, 0x7f, 0x80, 0xff};
  for (auto changes = 1 + random() % 4; changes != 0; --changes) {
    const std::size_t at = bytes.empty() ? 0 : random() % bytes.size();
    const auto here = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (random() % 6) {
      case 0:
        if (!bytes.empty()) *here = static_cast<std::byte>(random());
        break;
      case 1:
        if (!bytes.empty()) *here = static_cast<std::byte>(interesting[random() % std::size(interesting)]);
        break;
      case 2:
        if (!bytes.empty()) *here ^= static_cast<std::byte>(1U << random() % 8);
        break;
      case 3:
        bytes.insert(here, static_cast<std::byte>(random()));
        break;
      case 4:
        bytes.resize(at);
        break;
      default: {
        const Bytes& other = others[random() % others.size()];
        bytes.insert(here, other.begin(), other.begin() + static_cast<std::ptrdiff_t>(random() % (other.size() + 1)));
      }
    }
  }
  return bytes;
}

void write_seeds(const fs::path& folder) {
  fs::create_directories(folder);
  int number = 0;
  for (const Bytes& seed : multiprocessing::fuzz::seeds()) {
    std::ofstream out(folder / ("seed-" + std::to_string(number++)), std::ios::binary);
    out.write(reinterpret_cast<const char*>(seed.data()), static_cast<std::streamsize>(seed.size()));
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 2 && arguments[0] == "--write-seeds") {
    write_seeds(arguments[1]);
    return 0;
  }
  unsigned long mutations = 20'000;
  if (arguments.size() == 3 && arguments[0] == "--mutations") mutations = std::stoul(arguments[1]);
  if (arguments.empty()) {
    std::cerr << "usage: replay [--mutations N] FOLDER\n";
    return 2;
  }
  try {
    const std::vector<Bytes> all = inputs(arguments.back());
    for (const Bytes& one : all) multiprocessing::fuzz::run(one);
    std::mt19937 random(20240229);
    for (unsigned long i = 0; i < mutations && !all.empty(); ++i) {
      multiprocessing::fuzz::run(mutated(all[random() % all.size()], all, random));
    }
    std::cout << all.size() << " inputs and " << mutations << " mutations\n";
  } catch (const std::exception& error) {
    std::cerr << "an exception has left the target: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
