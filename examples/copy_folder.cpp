// A folder is copied by a pool; the workers say through a manager's queue which file is done, and main shows how far it is.
// (mpcopy is the tool that does this in earnest.)
//
//   copy_folder FROM TO
#include <exception>
#include <filesystem>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <string>
#include <vector>

namespace mp = multiprocessing;
namespace fs = std::filesystem;

void copy_file(const std::string& from, const std::string& to, const mp::QueueProxy<std::string>& done) {
  fs::copy_file(from, to, fs::copy_options::overwrite_existing);
  done.put(from);
}

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: copy_folder FROM TO\n";
    return 2;
  }
  const fs::path from = argv[1], to = argv[2];
  mp::Pool pool;
  mp::Manager manager;
  const auto done = manager.queue<std::string>();

  fs::create_directories(to);
  std::vector<mp::AsyncResult<void>> copies;
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    const fs::path target = to / fs::relative(entry.path(), from);
    if (entry.is_directory()) fs::create_directories(target);
    if (entry.is_regular_file()) {
      copies.push_back(pool.apply_async(copy_file, entry.path().string(), target.string(), done));
    }
  }
  pool.close();

  for (std::size_t i = 1; i <= copies.size(); ++i) {
    copies[i - 1].wait();
    while (const auto file = done.try_get()) {
      std::cerr << '\r' << i * 100 / copies.size() << "% " << fs::path(*file).filename().string() << "\x1b[K";
    }
  }
  for (const auto& copy : copies) copy.get();  // throws what went wrong with it
  std::cerr << '\n';
  std::cout << copies.size() << " files copied" << std::endl;
} catch (const std::exception& error) {
  std::cerr << "copy_folder: " << error.what() << '\n';
  return 1;
}
