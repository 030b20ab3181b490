#include "make_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>

#include "base/fd.hpp"
#include "open_path.hpp"
#include "roots.hpp"
#include "text.hpp"

namespace mpcopy {
namespace {

// 0, or why not.
int try_make_in(int folder, const std::string& name) {
  if (::mkdirat(folder, name.c_str(), 0700) == 0) return 0;
  if (errno != EEXIST) return errno;
  struct stat there {};
  return ::fstatat(folder, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(there.st_mode) ? 0 : EEXIST;
}

int try_make(const std::string& path) {
  if (path.size() < PATH_MAX) return try_make_in(AT_FDCWD, path);
  const multiprocessing::base::Fd folder = open_folder_of(path);
  return folder ? try_make_in(folder.get(), last_name(path)) : errno;
}

void check(int error, const std::string& path) {
  if (error == EEXIST) throw CopyError("cannot overwrite non-directory " + shown(path) + " with directory");
  if (error != 0) throw CopyError("cannot create directory", path, error);
}

}  // namespace

void make_directory(const std::string& path) { check(try_make(path), path); }

void make_directories(const std::string& path) {
  int error = try_make(path);
  const std::string above = folder_of(path);
  if ((error == ENOENT || error == ENOTDIR) && !above.empty() && above != path) {
    make_directories(above);
    error = try_make(path);
  }
  check(error, path);
}

}  // namespace mpcopy
