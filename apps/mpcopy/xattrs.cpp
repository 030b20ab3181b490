#include "xattrs.hpp"

#include <sys/types.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>

#include "text.hpp"

namespace mpcopy {
namespace {

constexpr const char* kAcl = "system.posix_acl_access";
constexpr const char* kDefaultAcl = "system.posix_acl_default";

// There are no calls with a directory and a name before Linux 6.13; this path means the same.
std::string path_of(const XattrOwner& owner) {
  return "/proc/self/fd/" + std::to_string(owner.fd) + (owner.name != nullptr ? "/" + std::string(owner.name) : "");
}

ssize_t list(const XattrOwner& owner, char* into, std::size_t size) {
  return owner.name == nullptr ? ::flistxattr(owner.fd, into, size) : ::llistxattr(path_of(owner).c_str(), into, size);
}

ssize_t get(const XattrOwner& owner, const char* name, char* into, std::size_t size) {
  return owner.name == nullptr ? ::fgetxattr(owner.fd, name, into, size)
                               : ::lgetxattr(path_of(owner).c_str(), name, into, size);
}

int set(const XattrOwner& owner, const Xattr& xattr) {
  const auto [data, size] = std::pair(xattr.value.data(), xattr.value.size());
  return owner.name == nullptr ? ::fsetxattr(owner.fd, xattr.name.c_str(), data, size, 0)
                               : ::lsetxattr(path_of(owner).c_str(), xattr.name.c_str(), data, size, 0);
}

void remove(const XattrOwner& owner, const char* name) {
  if (owner.name == nullptr) {
    ::fremovexattr(owner.fd, name);
  } else {
    ::lremovexattr(path_of(owner).c_str(), name);
  }
}

// What a call like the two above gives, however long.  Nothing, where it fails.
template <class Call>
std::optional<std::string> whole(const Call& call) {
  std::array<char, 1024> some;
  ssize_t size = call(some.data(), some.size());
  if (size >= 0) return std::string(some.data(), static_cast<std::size_t>(size));
  while (errno == ERANGE && (size = call(nullptr, 0)) >= 0) {  // it may grow between the calls
    std::string all(static_cast<std::size_t>(size), '\0');
    size = call(all.data(), all.size());
    if (size < 0) continue;
    all.resize(static_cast<std::size_t>(size));
    return all;
  }
  return std::nullopt;
}

bool is_no_loss(const Xattr& xattr, int error) {
  if (error == EOPNOTSUPP) return true;
  return xattr.name.rfind("security.", 0) == 0 && (error == EPERM || error == EACCES || error == EINVAL);
}

bool has(const Xattrs& xattrs, std::string_view name) {
  return std::any_of(xattrs.begin(), xattrs.end(), [&](const Xattr& xattr) { return xattr.name == name; });
}

}  // namespace

Xattrs read_xattrs(XattrOwner owner) {
  Xattrs xattrs;
  const auto names = whole([&](char* into, std::size_t size) { return list(owner, into, size); });
  if (!names) return xattrs;
  for (const char* name = names->c_str(); name < names->c_str() + names->size(); name += std::strlen(name) + 1) {
    auto value = whole([&](char* into, std::size_t size) { return get(owner, name, into, size); });
    if (value) xattrs.push_back({name, std::move(*value)});
  }
  return xattrs;
}

void write_xattrs(XattrOwner owner, const Xattrs& wanted, const std::string& path,
                  std::vector<std::string>& complaints) {
  for (const Xattr& xattr : wanted) {
    if (set(owner, xattr) == 0 || is_no_loss(xattr, errno)) continue;
    complaints.emplace_back(CopyError("cannot set attribute " + shown(xattr.name) + " of", path).what());
  }
}

void drop_inherited_acls(XattrOwner owner, const Xattrs& wanted) {
  for (const char* name : {kAcl, kDefaultAcl}) {
    if (!has(wanted, name)) remove(owner, name);
  }
}

bool gives_acls(int directory) { return ::getxattr(path_of({directory}).c_str(), kDefaultAcl, nullptr, 0) > 0; }

}  // namespace mpcopy
