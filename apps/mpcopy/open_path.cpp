#include "open_path.hpp"

#include <fcntl.h>

#include <cerrno>
#include <climits>
#include <cstddef>

#include "roots.hpp"

namespace mpcopy {
namespace {

using multiprocessing::base::Fd;

constexpr std::size_t kLongest = PATH_MAX - 1;

}  // namespace

Fd open_directory(const std::string& path, For purpose) {
  const int flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | (purpose == For::reading ? O_RDONLY : O_PATH);
  Fd above;
  std::size_t at = 0;
  while (path.size() - at > kLongest) {
    const std::size_t slash = path.rfind('/', at + kLongest);
    if (slash == std::string::npos || slash <= at) {
      errno = ENAMETOOLONG;  // one name of such a length
      return {};
    }
    // With its slash: on the way, links to directories are followed, as in any path.
    const std::string part = path.substr(at, slash + 1 - at);
    above = Fd(::openat(above ? above.get() : AT_FDCWD, part.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!above) return {};
    at = path.find_first_not_of('/', slash);
    if (at == std::string::npos) at = path.size();
  }
  const char* rest = at == path.size() ? "." : path.c_str() + at;
  return Fd(::openat(above ? above.get() : AT_FDCWD, rest, flags));
}

Fd open_folder_of(const std::string& path) {
  const std::string folder = folder_of(path);
  return open_directory(folder.empty() ? folder : folder + "/", For::holding);
}

}  // namespace mpcopy
