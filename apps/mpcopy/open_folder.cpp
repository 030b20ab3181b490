#include "open_folder.hpp"

#include "make_directory.hpp"
#include "open_path.hpp"
#include "text.hpp"
#include "xattrs.hpp"

namespace mpcopy {
namespace {

using multiprocessing::base::Fd;

Fd open_source(const std::string& path) {
  Fd fd = open_directory(path, For::holding);
  if (!fd) throw CopyError("cannot open directory", path);
  return fd;
}

Fd open_target(const std::string& path) {
  Fd fd = open_directory(path, For::holding);
  if (fd) return fd;
  make_directories(path);
  fd = open_directory(path, For::holding);
  if (!fd) throw CopyError("cannot open directory", path);
  return fd;
}

}  // namespace

OpenFolder::OpenFolder(const Folder& folder)
    : source_(open_source(folder.source)),
      target_(open_target(folder.target)),
      folder_(folder),
      gives_acls_(mpcopy::gives_acls(target_.get())) {}

}  // namespace mpcopy
