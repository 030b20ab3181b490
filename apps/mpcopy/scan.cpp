#include "scan.hpp"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/fd.hpp"
#include "make_directory.hpp"
#include "open_path.hpp"
#include "temporary_name.hpp"
#include "text.hpp"

namespace mpcopy {
namespace {

using multiprocessing::base::Fd;

constexpr int kEntriesPerStep = 256;  // well under a millisecond

// The folder of a path that the user named.  With a slash at its end it may also be a link to one; below it the copy
// neither follows links nor writes through them.
std::string named_folder(const std::string& path) {
  const std::string folder = folder_of(path);
  return folder.empty() ? folder : joined(folder, "");
}

}  // namespace

Scanner::Scanner(std::vector<Root> roots, Batcher& batcher, std::vector<std::string>& failures, ScanOptions options)
    : batcher_(batcher), failures_(failures), options_(std::move(options)), roots_left_(roots.size()) {
  std::reverse(roots.begin(), roots.end());
  for (Root& root : roots) {
    const std::size_t below = joined(root.source, "").size();
    pending_.push_back({std::move(root), below});
  }
}

void Scanner::step() {
  for (int i = 0; i < kEntriesPerStep && !is_done(); ++i) {
    try {
      if (!directory_) {
        open_next();
        continue;
      }
      errno = 0;
      if (const dirent* entry = ::readdir(directory_.get())) {
        take_entry(*entry);
        continue;
      }
      const int error = errno;
      directory_.reset();
      if (error != 0) throw CopyError("cannot read directory", here_.root.source, error);
    } catch (const CopyError& error) {
      failures_.emplace_back(error.what());
    }
  }
  if (is_done()) batcher_.flush();
}

void Scanner::open_next() {
  Found next = std::move(pending_.back());
  pending_.pop_back();
  if (pending_.size() < roots_left_) {
    roots_left_ = pending_.size();
    struct stat info {};
    if (::lstat(next.root.source.c_str(), &info) != 0) throw CopyError("cannot stat", next.root.source);
    if (!S_ISDIR(info.st_mode)) return take_root_file(next.root, info);
    if (!options_.only_looks) make_root(next.root);
  }
  enter_directory(std::move(next));
}

void Scanner::make_root(const Root& root) {
  make_directory(root.target);
  struct stat target {};
  if (::stat(root.target.c_str(), &target) == 0) made_roots_.push_back({target.st_dev, target.st_ino});
}

void Scanner::enter_directory(Found found) {
  const Root& root = found.root;
  Fd fd = open_directory(root.source, For::reading);
  struct stat info {};
  if (!fd) {
    const int error = errno;
    // Like `cp`: a directory that cannot be read is still made.
    const Fd closed = open_directory(root.source, For::holding);
    if (closed && ::fstat(closed.get(), &info) == 0) add_directory(root, info, {});
    throw CopyError("cannot open directory", root.source, error);
  }
  if (::fstat(fd.get(), &info) != 0) throw CopyError("cannot stat", root.source);
  if (is_made_by_us(info)) throw CopyError("cannot copy the copy itself, " + shown(root.source));
  add_directory(root, info, read_xattrs({fd.get()}));
  directory_.reset(::fdopendir(fd.get()));
  if (!directory_) throw CopyError("cannot read directory", root.source);
  static_cast<void>(fd.release());  // the stream's now
  here_ = std::move(found);
}

void Scanner::add_directory(const Root& root, const struct stat& source, Xattrs xattrs) {
  directories_.push_back({root.source, root.target, Attributes(source, std::move(xattrs))});
  batcher_.enter({root.source, root.target, {}});
  batcher_.add(Kind::directory, {}, 0);
  ++found_.directories;
}

void Scanner::take_root_file(const Root& root, const struct stat& info) {
  const Folder folder{named_folder(root.source), named_folder(root.target), last_name(root.target)};
  if (options_.removes_leftovers) directories_.push_back({folder.source, folder.target, std::nullopt});
  batcher_.enter(folder);
  take(last_name(root.source), root.target, info);
}

void Scanner::take_entry(const dirent& entry) {
  const std::string name = entry.d_name;
  if (name == "." || name == "..") return;
  const std::string path = joined(here_.root.source, name);
  struct stat info {};
  bool is_directory = entry.d_type == DT_DIR;  // needs no stat here: opening it tells all
  if (!is_directory) {
    if (::fstatat(::dirfd(directory_.get()), entry.d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      throw CopyError("cannot stat", path);
    }
    is_directory = S_ISDIR(info.st_mode);
  }
  if (!options_.exclude.empty() && options_.exclude.matches(path.substr(here_.below), is_directory)) return;
  const std::string target = joined(here_.root.target, name);
  if (is_directory) {
    pending_.push_back({{path, target}, here_.below});
  } else {
    take(name, target, info);
  }
}

void Scanner::take(const std::string& name, const std::string& target, const struct stat& info) {
  ++found_.files;
  if (info.st_nlink > 1) {
    const auto [known, is_new] = names_.try_emplace(FileId{info.st_dev, info.st_ino}, target);
    if (!is_new) return batcher_.add(Kind::hard_link, name, 0, known->second);
  }
  if (S_ISREG(info.st_mode)) {
    const auto bytes = static_cast<std::uint64_t>(info.st_size);
    found_.bytes += bytes;
    return batcher_.add(Kind::file, name, bytes);
  }
  batcher_.add(S_ISLNK(info.st_mode) ? Kind::link : Kind::special, name, 0);
}

bool Scanner::is_made_by_us(const struct stat& directory) const {
  return std::find(made_roots_.begin(), made_roots_.end(), FileId{directory.st_dev, directory.st_ino}) !=
         made_roots_.end();
}

void Scanner::finish_directories() {
  for (; !directories_.empty(); directories_.pop_back()) {
    try {
      finish(directories_.back());
    } catch (const CopyError& error) {
      failures_.emplace_back(error.what());
    }
  }
}

void Scanner::finish(const Directory& directory) {
  const Fd fd = open_directory(directory.target, For::reading);
  if (!fd) {
    // Those: it could not be made, which was reported.
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || !directory.attributes) return;
    throw CopyError("cannot open directory", directory.target);
  }
  if (options_.removes_leftovers) {
    remove_leftovers(fd.get(), open_directory(directory.source, For::holding).get());
  }
  if (!directory.attributes) return;
  struct stat now {};
  if (::fstat(fd.get(), &now) != 0) throw CopyError("cannot stat", directory.target);
  if (::flistxattr(fd.get(), nullptr, 0) > 0) drop_inherited_acls({fd.get()}, directory.attributes->xattrs);
  set_attributes(fd.get(), *directory.attributes, now, directory.target, failures_);
}

}  // namespace mpcopy
