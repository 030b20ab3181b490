#include "attributes.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "text.hpp"

namespace mpcopy {
namespace {

bool may_not_be_set(int error) { return error == EPERM || error == EINVAL || error == EOPNOTSUPP; }

// True: owner and group are those of the source now.
bool set_owner(int fd, const Attributes& wanted, const struct stat& now, const std::string& path) {
  if (now.st_uid == wanted.owner && now.st_gid == wanted.group) return true;
  if (::fchown(fd, wanted.owner, wanted.group) == 0) return true;
  if (!may_not_be_set(errno)) throw CopyError("cannot set the owner of", path);
  // The group alone may be settable: one may give a file to any group one is in.
  if (::fchown(fd, static_cast<uid_t>(-1), wanted.group) != 0 && !may_not_be_set(errno)) {
    throw CopyError("cannot set the group of", path);
  }
  return false;
}

}  // namespace

// In this order: a change of owner clears the set-id bits and capabilities, a change of mode may take the right to set
// the rest, and each changes the times.
void set_attributes(int fd, const Attributes& attributes, const struct stat& now, const std::string& path,
                    std::vector<std::string>& complaints) {
  const bool same_owner = set_owner(fd, attributes, now, path);
  write_xattrs({fd}, attributes.xattrs, path, complaints);
  const mode_t mode = same_owner ? attributes.mode : attributes.mode & 0777;
  if (::fchmod(fd, mode) != 0) throw CopyError("cannot set the mode of", path);
  if (::futimens(fd, attributes.times) != 0) throw CopyError("cannot set the times of", path);
}

void set_node_attributes(int folder, const char* name, const Attributes& attributes, const std::string& path,
                         std::vector<std::string>& complaints) {
  if (::fchownat(folder, name, attributes.owner, attributes.group, AT_SYMLINK_NOFOLLOW) != 0 &&
      !may_not_be_set(errno)) {
    throw CopyError("cannot set the owner of", path);
  }
  write_xattrs({folder, name}, attributes.xattrs, path, complaints);
  if (::utimensat(folder, name, attributes.times, AT_SYMLINK_NOFOLLOW) != 0) {
    throw CopyError("cannot set the times of", path);
  }
}

}  // namespace mpcopy
