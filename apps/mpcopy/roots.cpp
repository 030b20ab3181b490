#include "roots.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <optional>
#include <unordered_set>

#include "text.hpp"

namespace mpcopy {
namespace {

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::optional<struct stat> stat_of(const std::string& path, int flags) {
  struct stat info {};
  if (::fstatat(AT_FDCWD, path.empty() ? "." : path.c_str(), &info, flags) != 0) return std::nullopt;
  return info;
}

bool is_directory(const std::string& path) {
  const auto info = stat_of(path, 0);
  return info && S_ISDIR(info->st_mode);
}

bool same_file(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// Climbs from `path` (or from its nearest ancestor that exists) by "..", as the kernel sees it: links are resolved.
bool is_at_or_below(std::string path, const struct stat& directory) {
  while (!is_directory(path)) {
    if (path.empty() || path == "/") return false;
    path = folder_of(path);
  }
  if (path.empty()) path = ".";
  for (auto here = stat_of(path, 0); here; path += "/..") {
    if (same_file(*here, directory)) return true;
    const auto above = stat_of(path + "/..", 0);
    if (!above || same_file(*above, *here)) return false;
    here = above;
  }
  return false;
}

void refuse_copy_into_itself(const Root& root) {
  const auto source = stat_of(root.source, AT_SYMLINK_NOFOLLOW);
  if (!source) throw CopyError("cannot stat", root.source);
  if (S_ISDIR(source->st_mode) && is_at_or_below(root.target, *source)) {
    throw CopyError("cannot copy a directory, " + shown(root.source) + ", into itself, " + shown(root.target));
  }
}

std::string target_of(const std::string& source, const std::string& destination, bool into) {
  if (!into) return without_trailing_slashes(destination);
  // What stands in ".." is copied into the destination itself, and not out of it.  The slash at its end makes the
  // path that of a directory, also where the destination is a link to one.
  const std::string name = last_name(source);
  return joined(destination, name == "." || name == ".." || name == "/" ? "" : name);
}

}  // namespace

std::string last_name(const std::string& path) {
  const std::string bare = without_trailing_slashes(path);
  const std::size_t slash = bare.rfind('/');
  return slash == std::string::npos || bare == "/" ? bare : bare.substr(slash + 1);
}

std::string folder_of(const std::string& path) {
  const std::string bare = without_trailing_slashes(path);
  const std::size_t slash = bare.rfind('/');
  if (slash == std::string::npos) return "";
  return slash == 0 ? "/" : without_trailing_slashes(bare.substr(0, slash));
}

Roots resolve_roots(const std::vector<std::string>& sources, const std::string& destination, Into how) {
  const bool into = how != Into::never && is_directory(destination);
  if (sources.size() > 1 && how == Into::never) return {{}, {"extra operand " + shown(sources[1])}};
  if ((sources.size() > 1 || how == Into::always) && !into) {
    return {{}, {"target " + shown(destination) + " is not a directory"}};
  }
  Roots result;
  std::unordered_set<std::string> taken;
  for (const std::string& source : sources) {
    try {
      Root root{source, target_of(source, destination, into)};
      refuse_copy_into_itself(root);
      if (!taken.insert(root.target).second) {
        throw CopyError("will not overwrite just-created " + shown(root.target) + " with " + shown(source));
      }
      result.roots.push_back(std::move(root));
    } catch (const CopyError& error) {
      result.failures.emplace_back(error.what());
    }
  }
  return result;
}

}  // namespace mpcopy
