// What travels between mpcopy and its workers: plain aggregates, which the library sends without further code.
//
//   Batch (names) ──▶ copy_batch() in a worker ──▶ BatchResult (what failed)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules.hpp"

namespace mpcopy {

// A directory whose files are copied, and the directory that they are copied to.  A worker makes the latter where it
// is not there yet.
struct Folder {
  std::string source{};
  std::string target{};
  std::string target_name{};  // for a file named on the command line: its new name.  Empty: names stay.
};

enum class Kind : std::uint8_t {
  file,
  link,       // symbolic
  special,    // FIFO, socket, device
  hard_link,  // a further name of something that was copied under another name
  directory,  // the folder itself; `name` is empty
  piece,      // a range of a large file
};

struct Item {
  std::uint64_t serial = 0;  // unique in a run; gives the temporary name
  std::uint32_t folder = 0;  // position in the batch's folders
  std::uint32_t deaths = 0;  // workers that died while they had it
  Kind kind = Kind::file;
  std::string name{};
  std::uint64_t bytes = 0;  // as the scan saw it; of a piece, its length
  std::uint64_t from = 0;   // of a piece
  // Of a hard link: the path of the copy that it becomes a name of; empty: that could not be copied, so copy what is
  // here.  Of a piece: the name of the temporary file.
  std::string other{};
};

// One task of the pool.
struct Batch {
  std::uint64_t run = 0;   // random, so that two runs into one directory do not share temporary names
  std::uint32_t slot = 0;  // where in SharedCounters the worker reports its progress
  Rules rules{};
  std::vector<Folder> folders{};
  std::vector<Item> items{};
};

// How much was found, or copied.
struct Amount {
  std::uint64_t files = 0;  // and links, FIFOs and so on
  std::uint64_t directories = 0;
  std::uint64_t bytes = 0;
  std::uint64_t skipped = 0;  // of the files: those left as they are

  Amount& operator+=(const Amount& other) {
    files += other.files;
    directories += other.directories;
    bytes += other.bytes;
    skipped += other.skipped;
    return *this;
  }
};

struct BatchResult {
  Amount copied{};
  std::vector<std::string> failures{};  // a message for each item that was not, and for what of others is not kept
  std::vector<std::uint32_t> failed{};  // positions of the items that were not
};

// The name of the item's copy, and the paths of both for messages.
const std::string& target_name(const Folder& folder, const Item& item);
std::string source_path(const Folder& folder, const Item& item);
std::string target_path(const Folder& folder, const Item& item);

}  // namespace mpcopy
