#include "copy_file.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "attributes.hpp"
#include "base/fd.hpp"
#include "content.hpp"
#include "text.hpp"

namespace mpcopy {
namespace {

using multiprocessing::base::Fd;

// A file being written under its temporary name.  Removed on destruction unless it was given its final name.
class TemporaryFile {
 public:
  TemporaryFile(const Place& target, const std::string& name) : target_(target), name_(name) {
    constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = ::openat(target.folder, name.c_str(), kFlags, 0600);
    if (fd < 0 && errno == EEXIST) {  // of a try whose worker was killed
      ::unlinkat(target.folder, name.c_str(), 0);
      fd = ::openat(target.folder, name.c_str(), kFlags, 0600);
    }
    if (fd < 0) throw CopyError("cannot create", target.path);
    fd_ = Fd(fd);
  }
  ~TemporaryFile() {
    if (!kept_) ::unlinkat(target_.folder, name_.c_str(), 0);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }

  void become_target() {
    // Some file systems tell only now that there was no room.  EINTR: the descriptor is closed all the same.
    if (::close(fd_.release()) != 0 && errno != EINTR) throw CopyError("cannot write", target_.path);
    if (::renameat(target_.folder, name_.c_str(), target_.folder, target_.name.c_str()) != 0) {
      throw CopyError("cannot create", target_.path);
    }
    kept_ = true;
  }

 private:
  const Place& target_;
  const std::string& name_;
  Fd fd_;
  bool kept_ = false;
};

struct stat stat_of(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) throw CopyError("cannot stat", path);
  return info;
}

// O_NONBLOCK: should the name have become a FIFO since the scan, opening it must not wait for a writer.
Fd open_source(const Place& source) {
  Fd in(::openat(source.folder, source.name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!in) throw CopyError("cannot open", source.path);
  return in;
}

void copy_content(const Ends& ends, const struct stat& info, const Rules& rules, Observer& observer) {
  ContentCopier content(ends, rules, Target::blank, observer);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  const bool sparse = may_have_holes(info);
  const std::uint64_t done = size > 0 ? content.copy({0, size}, sparse) : 0;
  if (size == 0 || done < size) content.copy_rest(done);
  // The hole at its end.  Files in /sys, which are shorter than they say, have no blocks and no holes either.
  if (sparse && done == size && ::ftruncate(ends.out, info.st_size) != 0) throw CopyError("cannot write", ends.target);
  content.verify();
}

// The two file systems between which blocks cannot be shared, so that not each file has to find out.
struct Pair {
  dev_t from, to;
} cannot_share{};

}  // namespace

bool share_blocks(int in, int out, const struct stat& from, const struct stat& to, const Place& source,
                  const Place& target, Reflink reflink) {
  if (reflink == Reflink::never || from.st_size == 0) return false;
  const bool must = reflink == Reflink::always;
  if (!must && cannot_share.from == from.st_dev && cannot_share.to == to.st_dev) return false;
  if (::ioctl(out, FICLONE, in) == 0) return true;
  const int error = errno;
  if (must) throw CopyError("failed to clone " + shown(target.path) + " from", source.path, error);
  if (error == EOPNOTSUPP || error == EXDEV || error == ENOTTY) cannot_share = {from.st_dev, to.st_dev};
  return false;
}

void complain_of_change(int in, const struct stat& before, const std::string& path, Observer& observer) {
  struct stat now {};
  if (::fstat(in, &now) != 0) return;
  if (now.st_size == before.st_size && now.st_mtim.tv_sec == before.st_mtim.tv_sec &&
      now.st_mtim.tv_nsec == before.st_mtim.tv_nsec) {
    return;
  }
  observer.complaints.push_back(shown(path) + " changed while it was copied");
}

Outcome copy_file(const Place& source, const Place& target, const std::string& temporary, const Rules& rules,
                  Observer& observer) {
  const Fd in = open_source(source);
  const struct stat info = stat_of(in.get(), source.path);
  if (!S_ISREG(info.st_mode)) throw CopyError(shown(source.path) + " is no longer a regular file");
  if (check_target(info, source.path, target, rules) == Verdict::leave) {
    observer.on_passed(static_cast<std::uint64_t>(info.st_size));
    return Outcome::left;
  }
  TemporaryFile out(target, temporary);
  const struct stat made = stat_of(out.fd(), target.path);
  if (!rules.verify && share_blocks(in.get(), out.fd(), info, made, source, target, rules.reflink)) {
    observer.on_passed(static_cast<std::uint64_t>(info.st_size));
  } else {
    copy_content({in.get(), out.fd(), source.path, target.path}, info, rules, observer);
  }
  const Attributes attributes(info, read_xattrs({in.get()}));
  if (target.gives_acls) drop_inherited_acls({out.fd()}, attributes.xattrs);
  set_attributes(out.fd(), attributes, made, target.path, observer.complaints);
  out.become_target();
  complain_of_change(in.get(), info, source.path, observer);
  return Outcome::copied;
}

void copy_piece(const Place& source, const Place& temporary, std::uint64_t from, std::uint64_t bytes,
                const Rules& rules, Observer& observer) {
  const Fd in = open_source(source);
  const struct stat info = stat_of(in.get(), source.path);
  const Fd out(::openat(temporary.folder, temporary.name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!out) throw CopyError("cannot open", temporary.path);
  const Target there = rules.resume ? Target::partial : Target::blank;
  ContentCopier content({in.get(), out.get(), source.path, temporary.path}, rules, there, observer);
  content.copy({from, from + bytes}, may_have_holes(info));
  content.verify();
}

}  // namespace mpcopy
