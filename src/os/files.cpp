// Files by name.  What opens is tried as O_PATH first where it may be somebody else's: that has no effect on a FIFO, a
// terminal or a device.
#include "os/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "os/faults.hpp"
#include "os/programs.hpp"

namespace multiprocessing::os {
namespace {

int result(long value) noexcept { return value < 0 ? -errno : static_cast<int>(value); }

template <class Operation>
int repeated(Operation operation) noexcept {
  int outcome = 0;
  do {
    outcome = result(operation());
  } while (outcome == -EINTR);
  return outcome;
}

int opened(int directory, const char* name, int flags) noexcept {
  if (const int error = injected(Call::open)) return -error;
  constexpr int always = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  return above_standard(repeated([&] { return ::openat(directory, name, always | flags, 0600); }));
}

FileIdentity identity(const struct stat& status) noexcept { return {status.st_dev, status.st_ino}; }

// A text file of the kernel's; bytes read, 0 when it is not there.
std::size_t read_text(const char* path, std::span<char> into) noexcept {
  const int fd = repeated([&] { return ::open(path, O_RDONLY | O_CLOEXEC); });
  if (fd < 0) return 0;
  const int got = repeated([&] { return ::read(fd, into.data(), into.size() - 1); });
  ::close(fd);
  const std::size_t length = got > 0 ? static_cast<std::size_t>(got) : 0;
  into[length] = '\0';
  return length;
}

// The number behind a key at the beginning of a line; 0: not there.
std::uint64_t number_after(const char* text, const char* key) noexcept {
  const std::size_t length = std::strlen(key);
  for (const char* line = text; line != nullptr; line = std::strchr(line, '\n')) {
    if (*line == '\n') ++line;
    if (std::strncmp(line, key, length) == 0) return std::strtoull(line + length, nullptr, 10);
  }
  return 0;
}

std::uint64_t left_to_control_group() noexcept {
  char text[4096];
  if (read_text("/sys/fs/cgroup/memory.max", text) == 0) return UINT64_MAX;
  const std::uint64_t most = std::strtoull(text, nullptr, 10);
  if (most == 0) return UINT64_MAX;  // "max"
  if (read_text("/sys/fs/cgroup/memory.current", text) == 0) return UINT64_MAX;
  std::uint64_t used = std::strtoull(text, nullptr, 10);
  if (read_text("/sys/fs/cgroup/memory.stat", text) != 0) used -= std::min(used, number_after(text, "inactive_file "));
  return most > used ? most - used : 0;
}

// Calls `f` with each number that is a name in this directory, until it gives true.
template <class F>
void for_each_number(const char* path, F f) noexcept {
  DIR* const folder = ::opendir(path);
  if (folder == nullptr) return;
  while (const dirent* const entry = ::readdir(folder)) {
    char* end = nullptr;
    const long number = std::strtol(entry->d_name, &end, 10);
    if (end == entry->d_name || *end != '\0') continue;
    if (f(static_cast<int>(number))) break;
  }
  ::closedir(folder);
}

}  // namespace

int make_directory(const char* path) noexcept {
  if (const int error = injected(Call::open)) return -error;
  return result(::mkdir(path, 0700));
}

int remove_directory(const char* path) noexcept { return result(::rmdir(path)); }

int open_directory(const char* path) noexcept {
  if (const int error = injected(Call::open)) return -error;
  constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  return above_standard(repeated([&] { return ::open(path, flags); }));
}

int owner_of(int fd, Owner& owner) noexcept {
  struct stat status {};
  if (::fstat(fd, &status) < 0) return -errno;
  owner = {status.st_uid, status.st_mode & 07777};
  return 0;
}

int create_file(int directory, const char* name) noexcept { return opened(directory, name, O_CREAT | O_EXCL); }

int open_file(int directory, const char* name) noexcept {
  struct stat status {};
  if (::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return -errno;
  if (!S_ISREG(status.st_mode)) return -EINVAL;
  return opened(directory, name, 0);
}

int unlink_file(int directory, const char* name) noexcept {
  if (const int error = injected(Call::unlink)) return -error;
  return result(::unlinkat(directory, name, 0));
}

int rename_file(int directory, const char* from, const char* to) noexcept {
  if (const int error = injected(Call::rename)) return -error;
  return result(::renameat(directory, from, directory, to));
}

int for_each_name(int directory, void (*f)(void* context, const char* name), void* context) noexcept {
  const int again = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);  // with a position of its own
  if (again < 0) return -errno;
  DIR* const folder = ::fdopendir(again);
  if (folder == nullptr) {
    const int error = errno;
    ::close(again);
    return -error;
  }
  while (const dirent* const entry = ::readdir(folder)) {
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) f(context, entry->d_name);
  }
  ::closedir(folder);
  return 0;
}

int read_all(int fd, std::span<std::byte> into, std::uint64_t offset) noexcept {
  std::size_t done = 0;
  while (done < into.size()) {
    const int got = repeated(
        [&] { return ::pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(offset + done)); });
    if (got < 0) return got;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<int>(done);
}

int lock_file(int fd, FileLock how) noexcept {
  if (const int error = injected(Call::flock)) return -error;
  return repeated([&] { return ::flock(fd, how == FileLock::shared ? LOCK_SH : LOCK_EX); });
}

int try_lock_file(int fd, FileLock how) noexcept {
  if (const int error = injected(Call::flock)) return -error;
  return repeated([&] { return ::flock(fd, (how == FileLock::shared ? LOCK_SH : LOCK_EX) | LOCK_NB); });
}

void unlock_file(int fd) noexcept { ::flock(fd, LOCK_UN); }

// In parts: one that a signal interrupts is undone by the kernel, and the whole of many GiB might never come to its end.
int secure_pages(int fd, std::uint64_t offset, std::uint64_t bytes) noexcept {
  constexpr std::uint64_t part = std::uint64_t{64} << 20;
  for (std::uint64_t done = 0; done < bytes; done += part) {
    if (const int error = injected(Call::fallocate)) return -error;
    const auto length = static_cast<off_t>(std::min(part, bytes - done));
    const int outcome = repeated([&] { return ::fallocate(fd, 0, static_cast<off_t>(offset + done), length); });
    if (outcome < 0) return outcome;
  }
  return 0;
}

std::uint64_t available_memory() noexcept {
  char text[4096];
  if (read_text("/proc/meminfo", text) == 0) return left_to_control_group();
  const std::uint64_t kib = number_after(text, "MemAvailable:") + number_after(text, "SwapFree:");
  return std::min(kib * 1024, left_to_control_group());
}

bool is_size_sealed(int fd) noexcept {
  constexpr int wanted = F_SEAL_SHRINK | F_SEAL_GROW;
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & wanted) == wanted;
}

int open_of_process(pid_t pid, int fd, const FileIdentity& wanted) noexcept {
  if (const int error = injected(Call::open)) return -error;
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/fd/%d", static_cast<int>(pid), fd);
  const int looked_at = repeated([&] { return ::open(path, O_PATH | O_CLOEXEC); });
  if (looked_at < 0) return looked_at == -EPERM ? -EACCES : looked_at;
  if (!(identity_of(looked_at) == wanted)) {
    ::close(looked_at);
    return -ENOENT;
  }
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", looked_at);
  const int outcome = repeated([&] { return ::open(path, O_RDWR | O_CLOEXEC); });
  ::close(looked_at);
  return above_standard(outcome);
}

// A fork has it under the same number: those first.
int open_of_any_process(const FileIdentity& wanted, int likely_fd) noexcept {
  int found = -ENOENT;
  const auto try_one = [&](pid_t pid, int fd) {
    const int outcome = open_of_process(pid, fd, wanted);
    if (outcome == -ENOENT || outcome == -ESRCH || outcome == -EACCES) return false;
    found = outcome;
    return true;
  };
  for_each_number("/proc", [&](int pid) { return try_one(pid, likely_fd); });
  if (found != -ENOENT) return found;
  for_each_number("/proc", [&](int pid) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/fd", pid);
    for_each_number(path, [&](int fd) { return try_one(pid, fd); });
    return found != -ENOENT;
  });
  return found;
}

FileIdentity identity_of_path(const char* path) noexcept {
  struct stat status {};
  return ::stat(path, &status) < 0 ? FileIdentity{} : identity(status);
}

std::uint64_t boot_identity() noexcept {
  char text[64] = {};
  read_text("/proc/sys/kernel/random/boot_id", text);
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
  for (const char* at = text; *at != '\0'; ++at) hash = (hash ^ static_cast<unsigned char>(*at)) * 0x100000001b3U;
  return hash;
}

}  // namespace multiprocessing::os
