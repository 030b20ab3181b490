// Walks the sources and hands every file, link and directory to the batcher.
//
// In small steps, so that one thread can scan and look after the workers in turns.  It only reads, so that the total
// is known early (making a directory costs a file system more than listing a hundred files, and is left to the
// workers); but the directories named on the command line it makes itself, so that nobody else needs to know where
// the tree begins.  A directory gets its owner, mode and times at the very end, deepest first: writing into it needs
// the right to, and changes its times.
#pragma once

#include <dirent.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "attributes.hpp"
#include "batcher.hpp"
#include "exclude.hpp"
#include "roots.hpp"

namespace mpcopy {

struct ScanOptions {
  Exclude exclude{};
  bool only_looks = false;         // makes no directories
  bool removes_leftovers = false;  // of runs that were killed, at the end
};

class Scanner {
 public:
  Scanner(std::vector<Root> roots, Batcher& batcher, std::vector<std::string>& failures, ScanOptions options = {});

  [[nodiscard]] bool is_done() const { return !directory_ && pending_.empty(); }
  // Looks at some entries; at the end flushes the batcher.
  void step();
  // What was found so far.
  [[nodiscard]] const Amount& found() const { return found_; }

  // After everything was copied.
  void finish_directories();

 private:
  struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  struct Found {  // a directory to be walked, or a root
    Root root;
    std::size_t below = 0;  // where in its path that below SRC begins
  };
  struct Directory {
    std::string source;
    std::string target;
    std::optional<Attributes> attributes;  // none: it was there, and only gets files
  };
  struct FileId {
    dev_t device;
    ino_t inode;
    bool operator==(const FileId&) const = default;
  };
  struct HashFileId {
    std::size_t operator()(const FileId& id) const noexcept {
      return std::hash<std::uint64_t>{}((std::uint64_t{id.inode} << 8U) ^ id.device);
    }
  };

  void open_next();
  void enter_directory(Found directory);
  void make_root(const Root& root);
  void add_directory(const Root& root, const struct stat& source, Xattrs xattrs);
  void take_root_file(const Root& root, const struct stat& info);
  void take_entry(const dirent& entry);
  void take(const std::string& name, const std::string& target, const struct stat& info);
  void finish(const Directory& directory);
  [[nodiscard]] bool is_made_by_us(const struct stat& directory) const;

  Batcher& batcher_;
  std::vector<std::string>& failures_;
  const ScanOptions options_;
  std::vector<Found> pending_;  // a stack: depth first keeps it short
  std::size_t roots_left_;      // the lowest ones of the stack, which may be anything; the others are directories
  Found here_;
  std::unique_ptr<DIR, CloseDirectory> directory_;  // of here_, being read
  std::vector<Directory> directories_;              // of the copy, parents before children
  std::vector<FileId> made_roots_;
  std::unordered_map<FileId, std::string, HashFileId> names_;  // of what has several: the path of its copy
  Amount found_;
};

}  // namespace mpcopy
