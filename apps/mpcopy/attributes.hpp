// Owner, mode and times of the source, put on the copy.
#pragma once

#include <sys/stat.h>

#include <string>

namespace mpcopy {

struct Attributes {
  explicit Attributes(const struct stat& from)
      : owner(from.st_uid), group(from.st_gid), mode(from.st_mode & 07777), times{from.st_atim, from.st_mtim} {}

  uid_t owner;
  gid_t group;
  mode_t mode;
  timespec times[2];  // last access, last change of the content
};

// On an open file or directory.  An owner that may not be set is left, as `cp -a` does; then set-user-id,
// set-group-id and sticky bits are left out: they would speak of another owner.  Throws CopyError about `path`.
void set_attributes(int fd, const Attributes& attributes, const std::string& path);

// On a symbolic link itself, which has no mode of its own.
void set_link_attributes(int folder, const char* name, const Attributes& attributes, const std::string& path);

}  // namespace mpcopy
