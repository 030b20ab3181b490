#include "copy_node.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "attributes.hpp"
#include "base/fd.hpp"
#include "open_path.hpp"
#include "roots.hpp"
#include "text.hpp"

namespace mpcopy {
namespace {

using multiprocessing::base::Fd;

// A name to be given up on destruction, unless what it names was renamed.
class TemporaryName {
 public:
  TemporaryName(const Place& target, const char* name) : target_(target), name_(name) {
    ::unlinkat(target.folder, name, 0);  // of a try whose worker was killed
  }
  ~TemporaryName() {
    if (!kept_) ::unlinkat(target_.folder, name_, 0);
  }
  TemporaryName(const TemporaryName&) = delete;
  TemporaryName& operator=(const TemporaryName&) = delete;

  void become_target() {
    if (::renameat(target_.folder, name_, target_.folder, target_.name.c_str()) != 0) {
      throw CopyError("cannot create", target_.path);
    }
    kept_ = true;
  }

 private:
  const Place& target_;
  const char* name_;
  bool kept_ = false;
};

void make_link(const Place& source, const Place& target, const char* name) {
  char points_to[PATH_MAX];
  const ssize_t length = ::readlinkat(source.folder, source.name.c_str(), points_to, sizeof points_to - 1);
  if (length < 0) throw CopyError("cannot read symbolic link", source.path);
  points_to[length] = '\0';
  if (::symlinkat(points_to, target.folder, name) != 0) throw CopyError("cannot create symbolic link", target.path);
}

void make_special(const struct stat& info, const Place& target, const char* name) {
  // prepare_worker() has set the umask to 0, so that the mode is what is said here.
  if (::mknodat(target.folder, name, info.st_mode, info.st_rdev) != 0) {
    throw CopyError("cannot create special file", target.path);
  }
}

}  // namespace

Outcome copy_node(const Place& source, const Place& target, const std::string& temporary, const Rules& rules,
                  Observer& observer) {
  struct stat info {};
  if (::fstatat(source.folder, source.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    throw CopyError("cannot stat", source.path);
  }
  if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) {
    throw CopyError(shown(source.path) + " is no longer what it was when it was found");
  }
  if (check_target(info, source.path, target, rules) == Verdict::leave) return Outcome::left;
  const char* name = temporary.c_str();
  TemporaryName made(target, name);
  if (S_ISLNK(info.st_mode)) {
    make_link(source, target, name);
  } else {
    make_special(info, target, name);
  }
  const Attributes attributes(info, read_xattrs({source.folder, source.name.c_str()}));
  if (target.gives_acls && !S_ISLNK(info.st_mode)) {
    drop_inherited_acls({target.folder, name}, attributes.xattrs);
    ::fchmodat(target.folder, name, attributes.mode, 0);  // the list had its say in the mode
  }
  set_node_attributes(target.folder, name, attributes, target.path, observer.complaints);
  made.become_target();
  return Outcome::copied;
}

void copy_hard_link(const std::string& other, const Place& target, const std::string& temporary) {
  const Fd folder = open_folder_of(other);
  const std::string name = last_name(other);
  struct stat copy {
  }, there{};
  if (!folder || ::fstatat(folder.get(), name.c_str(), &copy, AT_SYMLINK_NOFOLLOW) != 0) {
    throw CopyError("cannot link " + shown(target.path) + " to", other);
  }
  if (::fstatat(target.folder, target.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISDIR(there.st_mode)) {
      throw CopyError("cannot overwrite directory " + shown(target.path) + " with non-directory");
    }
    // Nothing to do; and a rename between two names of one file would do nothing, and leave both.
    if (there.st_dev == copy.st_dev && there.st_ino == copy.st_ino) return;
  }
  TemporaryName made(target, temporary.c_str());
  if (::linkat(folder.get(), name.c_str(), target.folder, temporary.c_str(), 0) != 0) {
    throw CopyError("cannot link " + shown(target.path) + " to", other);
  }
  made.become_target();
}

}  // namespace mpcopy
