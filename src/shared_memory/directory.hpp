// The directory in which the named blocks of a user have their entries.
//
//   $MULTIPROCESSING_RUNTIME_DIR, else $XDG_RUNTIME_DIR/multiprocessing, else /tmp/multiprocessing-UID,
//   else $TMPDIR/multiprocessing-UID: the first that is there or can be made.
//
// Invariants
//   1. It belongs to this user and nobody else may look into it (0700); any other is refused, and not passed over:
//      who can make a directory in /tmp must not be able to part two programs of somebody else.
//   2. Entries are made, judged and removed under its lock only: an flock on the directory itself, which the kernel takes
//      back from the dead.  Who only reads does without.
//   3. No fork happens while this process has that lock, so no child can inherit it.
//   4. When it is empty it is removed, under its lock, unless the user has named it; so who has locked it looks whether it
//      is still there.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "base/fd.hpp"
#include "os/files.hpp"

namespace multiprocessing::shared_memory {

class Directory {
 public:
  enum class Missing { is_made, is_an_error };
  // Throws OsError.  Where it is an error that there is none: ENOENT.
  explicit Directory(Missing missing);
  // A certain one, which path() gave.  Throws OsError: ENOENT.
  explicit Directory(std::string path);

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string path_of(const std::string& name) const { return path_ + '/' + name; }

 private:
  friend class DirectoryLock;
  int open(Missing missing);                 // -errno
  bool choose(std::string path, bool last);  // false: not to be had here
  void take(int fd);

  std::string path_;
  base::Fd fd_;
  Missing missing_ = Missing::is_an_error;
};

// The lock, for a scope.  REQUIRES: the caller does not have it.  Throws OsError: ETIMEDOUT when a process that is stopped
// has it.
class DirectoryLock {
 public:
  explicit DirectoryLock(Directory& directory, std::chrono::seconds patience = std::chrono::seconds(10));
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  bool try_once(Directory& directory);
  std::unique_lock<std::mutex> here_;
  base::Fd file_;  // the directory, opened once more: this open file is shared with nobody
};

// Where nothing is in it.  REQUIRES: its lock.
void remove_if_empty(const Directory& directory) noexcept;

// No other thread of this process is about to make or remove an entry, and no fork happens: for a scope.
[[nodiscard]] std::unique_lock<std::mutex> hold_still();

}  // namespace multiprocessing::shared_memory
