// What travels between mpcopy and its workers: plain aggregates, which the library sends without further code.
//
//   Batch (names) ──▶ copy_batch() in a worker ──▶ BatchResult (what failed)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mpcopy {

// A directory whose files are copied, and the directory that they are copied to.  A worker makes the latter where it
// is not there yet.
struct Folder {
  std::string source{};
  std::string target{};
  std::string target_name{};  // for a file named on the command line: its new name.  Empty: names stay.
};

enum class Kind : std::uint8_t { file, link, directory };

// One file, one symbolic link, or the folder itself (then `name` is empty).
struct Item {
  std::uint64_t serial = 0;  // unique in a run; gives the temporary name
  std::uint32_t folder = 0;  // position in the batch's folders
  std::uint32_t deaths = 0;  // workers that died while they had it
  Kind kind = Kind::file;
  std::string name{};
};

// One task of the pool.
struct Batch {
  std::uint64_t run = 0;   // random, so that two runs into one directory do not share temporary names
  std::uint32_t slot = 0;  // where in SharedCounters the worker reports its progress
  std::vector<Folder> folders{};
  std::vector<Item> items{};
};

// How much was found, or copied.
struct Amount {
  std::uint64_t files = 0;  // and links
  std::uint64_t directories = 0;
  std::uint64_t bytes = 0;

  Amount& operator+=(const Amount& other) {
    files += other.files;
    directories += other.directories;
    bytes += other.bytes;
    return *this;
  }
};

struct BatchResult {
  Amount copied{};
  std::vector<std::string> failures{};  // one message for each item that was not
};

// The name of the item's copy, and the paths of both for messages.
const std::string& target_name(const Folder& folder, const Item& item);
std::string source_path(const Folder& folder, const Item& item);
std::string target_path(const Folder& folder, const Item& item);

// An item is written under this name in its target's directory, and renamed when it is whole.  The same for each
// try in one run, so that a later try, or the end of the run, can remove what a killed worker left.
std::string temporary_name(std::uint64_t run, std::uint64_t serial);

}  // namespace mpcopy
