#include "target_check.hpp"

#include <fcntl.h>

#include "text.hpp"

namespace mpcopy {
namespace {

bool is_before(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

bool is_complete(const struct stat& source, const struct stat& there) {
  return S_ISREG(source.st_mode) && S_ISREG(there.st_mode) && source.st_size == there.st_size &&
         !is_before(source.st_mtim, there.st_mtim) && !is_before(there.st_mtim, source.st_mtim);
}

}  // namespace

Verdict check_target(const struct stat& source, const std::string& source_path, const Place& target,
                     const Rules& rules) {
  struct stat there {};
  if (::fstatat(target.folder, target.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) return Verdict::copy;
  if (S_ISDIR(there.st_mode)) {
    throw CopyError("cannot overwrite directory " + shown(target.path) + " with non-directory");
  }
  if (there.st_dev == source.st_dev && there.st_ino == source.st_ino) {
    throw CopyError(shown(source_path) + " and " + shown(target.path) + " are the same file");
  }
  if (rules.update && !is_before(there.st_mtim, source.st_mtim)) return Verdict::leave;
  return rules.resume && is_complete(source, there) ? Verdict::leave : Verdict::copy;
}

}  // namespace mpcopy
