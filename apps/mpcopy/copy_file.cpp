#include "copy_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <optional>
#include <vector>

#include "attributes.hpp"
#include "base/fd.hpp"
#include "text.hpp"

namespace mpcopy {
namespace {

using multiprocessing::base::Fd;

// Small enough that the bar moves during a large file, large enough that the calls cost nothing.
constexpr std::size_t kKernelPiece = 8U << 20U;
constexpr std::size_t kBufferBytes = 256U << 10U;

// A file being written under its temporary name.  Removed on destruction unless it was given its final name.
class TemporaryFile {
 public:
  TemporaryFile(const Place& target, const std::string& name) : target_(target), name_(name) {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
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

// Why an existing target may not be replaced, as `cp` says it.
void refuse_bad_target(const struct stat& source, const Place& from, const Place& target) {
  struct stat there {};
  if (::fstatat(target.folder, target.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (S_ISDIR(there.st_mode)) {
    throw CopyError("cannot overwrite directory " + shown(target.path) + " with non-directory");
  }
  if (there.st_dev == source.st_dev && there.st_ino == source.st_ino) {
    throw CopyError(shown(from.path) + " and " + shown(target.path) + " are the same file");
  }
}

void write_all(int out, const char* data, std::size_t bytes, const std::string& path) {
  while (bytes > 0) {
    const ssize_t n = ::write(out, data, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw CopyError("cannot write", path);
    data += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

// From where both descriptors stand to the end of the file.
std::uint64_t copy_by_buffer(int in, int out, const Place& source, const Place& target, const OnBytes& on_bytes) {
  static thread_local std::vector<char> buffer(kBufferBytes);
  std::uint64_t done = 0;
  for (;;) {
    const ssize_t n = ::read(in, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw CopyError("cannot read", source.path);
    if (n == 0) return done;
    const auto bytes = static_cast<std::size_t>(n);
    write_all(out, buffer.data(), bytes, target.path);
    done += bytes;
    on_bytes(bytes);
  }
}

bool kernel_cannot_copy(int error) {
  // EPERM: a seccomp filter that does not know the call.
  constexpr std::array kErrors{EXDEV, EINVAL, ENOSYS, EOPNOTSUPP, EPERM};
  return std::find(kErrors.begin(), kErrors.end(), error) != kErrors.end();
}

// As far as copy_file_range goes.  It may stop anywhere, with both descriptors standing where it stopped.
std::uint64_t copy_by_kernel(int in, int out, const Place& source, const Place& target, const OnBytes& on_bytes) {
  std::uint64_t done = 0;
  for (;;) {
    const ssize_t n = ::copy_file_range(in, nullptr, out, nullptr, kKernelPiece, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && kernel_cannot_copy(errno)) return done;
    if (n < 0) {  // the call does not say which side failed
      const int error = errno;
      throw CopyError("cannot copy " + shown(source.path) + " to", target.path, error);
    }
    if (n == 0) return done;
    done += static_cast<std::uint64_t>(n);
    on_bytes(static_cast<std::uint64_t>(n));
  }
}

// An end that copy_file_range reports is believed only at the size that stat gave: in /proc and /sys files have
// content that neither of the two admits to.  Anything else is settled by read().
std::uint64_t copy_content(int in, int out, const struct stat& info, const Place& source, const Place& target,
                           const OnBytes& on_bytes, Transfer transfer) {
  const auto expected = static_cast<std::uint64_t>(info.st_size);
  std::uint64_t done = 0;
  if (transfer == Transfer::kernel && expected > 0) {
    done = copy_by_kernel(in, out, source, target, on_bytes);
    if (done >= expected) return done;
  }
  return done + copy_by_buffer(in, out, source, target, on_bytes);
}

}  // namespace

std::uint64_t copy_file(const Place& source, const Place& target, const std::string& temporary, const OnBytes& on_bytes,
                        Transfer transfer) {
  // O_NONBLOCK: should the name have become a FIFO since the scan, opening it must not wait for a writer.
  const Fd in(::openat(source.folder, source.name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!in) throw CopyError("cannot open", source.path);
  struct stat info {};
  if (::fstat(in.get(), &info) != 0) throw CopyError("cannot stat", source.path);
  if (!S_ISREG(info.st_mode)) throw CopyError(shown(source.path) + " is no longer a regular file");
  refuse_bad_target(info, source, target);
  TemporaryFile out(target, temporary);
  const std::uint64_t bytes = copy_content(in.get(), out.fd(), info, source, target, on_bytes, transfer);
  set_attributes(out.fd(), Attributes(info), target.path);
  out.become_target();
  return bytes;
}

void copy_link(const Place& source, const Place& target, const std::string& temporary) {
  struct stat info {};
  if (::fstatat(source.folder, source.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    throw CopyError("cannot stat", source.path);
  }
  char points_to[PATH_MAX];
  const ssize_t length = ::readlinkat(source.folder, source.name.c_str(), points_to, sizeof points_to - 1);
  if (length < 0) throw CopyError("cannot read symbolic link", source.path);
  points_to[length] = '\0';
  refuse_bad_target(info, source, target);

  ::unlinkat(target.folder, temporary.c_str(), 0);  // of a try whose worker was killed
  if (::symlinkat(points_to, target.folder, temporary.c_str()) != 0) {
    throw CopyError("cannot create symbolic link", target.path);
  }
  try {
    set_link_attributes(target.folder, temporary.c_str(), Attributes(info), target.path);
    if (::renameat(target.folder, temporary.c_str(), target.folder, target.name.c_str()) != 0) {
      throw CopyError("cannot create symbolic link", target.path);
    }
  } catch (...) {
    ::unlinkat(target.folder, temporary.c_str(), 0);
    throw;
  }
}

}  // namespace mpcopy
