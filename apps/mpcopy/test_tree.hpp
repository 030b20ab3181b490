// For mpcopy's tests: trees as values that can be compared.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "support/temporary_folder.hpp"

namespace mpcopy::testing {

namespace fs = std::filesystem;

using multiprocessing::testing::TemporaryFolder;

inline void write_file(const std::string& path, std::string_view content) {
  std::ofstream out(path, std::ios::binary);
  out << content;
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// `bytes` of content that differs from place to place.
inline std::string content_of(std::size_t bytes, unsigned seed = 1) {
  std::string content(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    seed = seed * 1664525U + 1013904223U;
    content[i] = static_cast<char>(seed >> 24U);
  }
  return content;
}

inline void set_mtime(const std::string& path, std::time_t seconds, long nanoseconds) {
  const timespec times[2] = {{seconds - 1, nanoseconds}, {seconds, nanoseconds}};
  if (::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) throw std::runtime_error("utimensat");
}

// Pieces of content, each at its place in a file of that size; holes between them.
inline void write_sparse_file(const std::string& path, const std::map<std::size_t, std::string>& pieces,
                              std::size_t size) {
  std::ofstream out(path, std::ios::binary);
  for (const auto& [at, content] : pieces) out.seekp(static_cast<std::streamoff>(at)) << content;
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
  fs::resize_file(path, size);
}

// Where there is data in the file: "4096-8192 …".
inline std::string data_of(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::string text;
  off_t to = 0;
  for (off_t from = 0; (from = ::lseek(fd, to, SEEK_DATA)) >= 0;) {
    to = ::lseek(fd, from, SEEK_HOLE);
    text += std::to_string(from) + "-" + std::to_string(to) + " ";
  }
  ::close(fd);
  return text;
}

// Names and values of all extended attributes, access control lists among them.
inline std::string xattrs_of(const std::string& path) {
  std::string names(65536, '\0'), value(65536, '\0');
  const ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
  std::map<std::string, std::string> found;
  for (const char* name = names.data(); name < names.data() + size; name += std::strlen(name) + 1) {
    const ssize_t length = ::lgetxattr(path.c_str(), name, value.data(), value.size());
    found[name] = value.substr(0, static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
  }
  std::string text;
  for (const auto& [name, content] : found) text.append(" ").append(name).append("=").append(content);
  return text;
}

// What is known of one path: type, mode, owner, time of last change, extended
// attributes, and content or target.
inline std::string description_of(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return "missing";
  std::ostringstream text;
  text << std::oct << info.st_mode << std::dec << ' ' << info.st_uid << ':' << info.st_gid << ' ' << info.st_mtim.tv_sec
       << '.' << info.st_mtim.tv_nsec;
  text << xattrs_of(path);
  if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) text << " device " << info.st_rdev;
  if (S_ISREG(info.st_mode)) text << ' ' << info.st_size << ' ' << std::hash<std::string>{}(read_file(path));
  if (S_ISLNK(info.st_mode)) text << " -> " << fs::read_symlink(path).string();
  return text.str();
}

using Tree = std::map<std::string, std::string>;  // path below the root → description, and other names

inline Tree tree_at(const std::string& root) {
  Tree tree{{"", description_of(root)}};
  std::map<std::pair<dev_t, ino_t>, std::set<std::string>> names;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const std::string path = entry.path().string();
    tree[path.substr(root.size())] = description_of(path);
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode) && info.st_nlink > 1) {
      names[{info.st_dev, info.st_ino}].insert(path.substr(root.size()));
    }
  }
  for (const auto& [id, same] : names) {
    for (const std::string& path : same) tree[path] += " = " + *same.begin();
  }
  return tree;
}

}  // namespace mpcopy::testing
