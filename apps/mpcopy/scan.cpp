#include "scan.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/fd.hpp"
#include "make_directory.hpp"
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

Scanner::Scanner(std::vector<Root> roots, Batcher& batcher, std::vector<std::string>& failures)
    : batcher_(batcher), failures_(failures), pending_(std::move(roots)), roots_left_(pending_.size()) {
  std::reverse(pending_.begin(), pending_.end());
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
      if (error != 0) throw CopyError("cannot read directory", here_.source, error);
    } catch (const CopyError& error) {
      failures_.emplace_back(error.what());
    }
  }
  if (is_done()) batcher_.flush();
}

void Scanner::open_next() {
  Root root = std::move(pending_.back());
  pending_.pop_back();
  if (pending_.size() < roots_left_) {
    roots_left_ = pending_.size();
    struct stat info {};
    if (::lstat(root.source.c_str(), &info) != 0) throw CopyError("cannot stat", root.source);
    if (!S_ISDIR(info.st_mode)) return take_root_file(root, info);
    make_root(root);
  }
  enter_directory(std::move(root));
}

void Scanner::make_root(const Root& root) {
  make_directory(root.target);
  struct stat target {};
  if (::stat(root.target.c_str(), &target) == 0) made_roots_.push_back({target.st_dev, target.st_ino});
}

void Scanner::enter_directory(Root root) {
  Fd fd(::open(root.source.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!fd) {
    const int error = errno;
    // Like `cp`: a directory that cannot be read is still made.
    if (::lstat(root.source.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) add_directory(root, info);
    throw CopyError("cannot open directory", root.source, error);
  }
  if (::fstat(fd.get(), &info) != 0) throw CopyError("cannot stat", root.source);
  if (is_made_by_us(info)) throw CopyError("cannot copy the copy itself, " + shown(root.source));
  add_directory(root, info);
  directory_.reset(::fdopendir(fd.get()));
  if (!directory_) throw CopyError("cannot read directory", root.source);
  static_cast<void>(fd.release());  // the stream's now
  here_ = std::move(root);
}

void Scanner::add_directory(const Root& root, const struct stat& source) {
  directories_.push_back({root.target, Attributes(source)});
  batcher_.enter({root.source, root.target, {}});
  batcher_.add(Kind::directory, {}, 0);
  ++found_.directories;
}

void Scanner::take_root_file(const Root& root, const struct stat& info) {
  batcher_.enter({named_folder(root.source), named_folder(root.target), last_name(root.target)});
  take(last_name(root.source), root.source, info);
}

void Scanner::take_entry(const dirent& entry) {
  const std::string name = entry.d_name;
  if (name == "." || name == "..") return;
  const std::string path = joined(here_.source, name);
  if (entry.d_type == DT_DIR) {  // needs no stat here: opening it tells all
    pending_.push_back({path, joined(here_.target, name)});
    return;
  }
  struct stat info {};
  if (::fstatat(::dirfd(directory_.get()), entry.d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
    throw CopyError("cannot stat", path);
  }
  if (S_ISDIR(info.st_mode)) {
    pending_.push_back({path, joined(here_.target, name)});
    return;
  }
  take(name, path, info);
}

void Scanner::take(const std::string& name, const std::string& path, const struct stat& info) {
  if (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) {
    throw CopyError("skipped special file " + shown(path));
  }
  const bool is_link = S_ISLNK(info.st_mode);
  const std::uint64_t bytes = is_link ? 0 : static_cast<std::uint64_t>(info.st_size);
  batcher_.add(is_link ? Kind::link : Kind::file, name, bytes);
  ++found_.files;
  found_.bytes += bytes;
}

bool Scanner::is_made_by_us(const struct stat& directory) const {
  return std::find(made_roots_.begin(), made_roots_.end(), FileId{directory.st_dev, directory.st_ino}) !=
         made_roots_.end();
}

void Scanner::finish_directories() {
  for (; !directories_.empty(); directories_.pop_back()) {
    const auto& [target, attributes] = directories_.back();
    try {
      const Fd fd(::open(target.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (fd) {
        set_attributes(fd.get(), attributes, target);
      } else if (errno != ENOENT && errno != ENOTDIR) {  // those: it could not be made, which was reported
        throw CopyError("cannot open directory", target);
      }
    } catch (const CopyError& error) {
      failures_.emplace_back(error.what());
    }
  }
}

}  // namespace mpcopy
