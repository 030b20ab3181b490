// Extended attributes: what programs have noted on a file, capabilities, and access control lists, which are the
// attributes system.posix_acl_access and system.posix_acl_default.
#pragma once

#include <string>
#include <vector>

namespace mpcopy {

struct Xattr {
  std::string name;
  std::string value;
  bool operator==(const Xattr&) const = default;
};
using Xattrs = std::vector<Xattr>;

// An open file, or a name in an open directory (a link itself, then).
struct XattrOwner {
  int fd;
  const char* name = nullptr;
};

// Those that may be read.  Empty where there are none, and where the file system knows none.
Xattrs read_xattrs(XattrOwner owner);

// What the file system there does not know is left out, and so are security.* where they may not be set; anything
// else that cannot be set is a complaint about `path`.
void write_xattrs(XattrOwner owner, const Xattrs& wanted, const std::string& path,
                  std::vector<std::string>& complaints);

// Removes the lists that it has from the directory that it was made in, unless `wanted` has them.
void drop_inherited_acls(XattrOwner owner, const Xattrs& wanted);

// Does what is made in this directory get a list from it?
bool gives_acls(int directory);

}  // namespace mpcopy
