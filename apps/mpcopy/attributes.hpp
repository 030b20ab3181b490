// Owner, extended attributes, mode and times of the source, put on the copy.
#pragma once

#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "xattrs.hpp"

namespace mpcopy {

struct Attributes {
  Attributes(const struct stat& from, Xattrs more)
      : owner(from.st_uid),
        group(from.st_gid),
        mode(from.st_mode & 07777),
        times{from.st_atim, from.st_mtim},
        xattrs(std::move(more)) {}

  uid_t owner;
  gid_t group;
  mode_t mode;
  timespec times[2];  // last access, last change of the content
  Xattrs xattrs;
};

// On an open file or directory; `now` is what it has.  An owner that may not be set is left, as `cp -a` does; then
// set-user-id, set-group-id and sticky bits are left out: they would speak of another owner.  Throws CopyError about
// `path`; of an extended attribute that cannot be set, there is a complaint.
void set_attributes(int fd, const Attributes& attributes, const struct stat& now, const std::string& path,
                    std::vector<std::string>& complaints);

// On what is not opened: a symbolic link (which has no mode of its own), a FIFO, a socket or a device, which was
// made with its mode.
void set_node_attributes(int folder, const char* name, const Attributes& attributes, const std::string& path,
                         std::vector<std::string>& complaints);

}  // namespace mpcopy
