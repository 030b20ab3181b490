#include "shared_memory/directory.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "os/programs.hpp"

namespace multiprocessing::shared_memory {
namespace {

constexpr char given_directory[] = "MULTIPROCESSING_RUNTIME_DIR";
// What is done under it takes some 50 microseconds.
constexpr std::chrono::microseconds first_pause{20};
constexpr std::chrono::microseconds longest_pause{2'000};

constinit std::mutex one_at_a_time;

// A fork waits until no thread is in the middle of something.  In the child the forking thread goes on, which holds it.
[[maybe_unused]] const int registered =
    os::at_fork([] { one_at_a_time.lock(); }, [] { one_at_a_time.unlock(); }, [] { one_at_a_time.unlock(); });

// Not of a program that runs for another user: those variables are the caller's.
std::string environment(const char* name) {
  const char* const value = ::secure_getenv(name);
  return value != nullptr ? value : "";
}

bool is_elsewhere(int error) {
  return error == -ENOENT || error == -EACCES || error == -EROFS || error == -EPERM || error == -ENOSPC ||
         error == -ENOTDIR || error == -EDQUOT;
}

}  // namespace

std::unique_lock<std::mutex> hold_still() { return std::unique_lock(one_at_a_time); }

Directory::Directory(Missing missing) : missing_(missing) {
  if (const std::string given = environment(given_directory); !given.empty()) {
    choose(given, true);
    return;
  }
  const std::string mine = "/multiprocessing-" + std::to_string(::geteuid());
  if (const std::string runtime = environment("XDG_RUNTIME_DIR"); !runtime.empty()) {
    if (choose(runtime + "/multiprocessing", false)) return;
  }
  const std::string temporary = environment("TMPDIR");
  if (choose("/tmp" + mine, temporary.empty())) return;
  choose(temporary + mine, true);
}

Directory::Directory(std::string path) : path_(std::move(path)) { take(open(missing_)); }

// Whoever removes its last name removes the directory, maybe between our making and opening it: again.  Not for ever: a link
// that leads nowhere is there and cannot be opened, too.
int Directory::open(Missing missing) {
  constexpr int most_tries = 1000;
  for (int tries = 0;; ++tries) {
    const int fd = os::open_directory(path_.c_str());
    if (fd != -ENOENT || missing == Missing::is_an_error || tries == most_tries) return fd;
    const int made = os::make_directory(path_.c_str());
    if (made < 0 && made != -EEXIST) return made;
  }
}

bool Directory::choose(std::string path, bool last) {
  path_ = std::move(path);
  const int fd = open(missing_);
  if (fd < 0 && !last && is_elsewhere(fd)) return false;
  take(fd);
  return true;
}

void Directory::take(int fd) {
  if (fd < 0) base::throw_os_error("open the directory of named memory", path_, -fd);
  fd_ = base::Fd(fd);
  os::Owner owner;
  const int error = os::owner_of(fd, owner);
  if (error < 0) base::throw_os_error("look at the directory of named memory", path_, -error);
  if (owner.user != ::geteuid() || (owner.permissions & 077) != 0) {
    base::throw_os_error("use the directory of named memory (it must belong to this user, with mode 0700)", path_,
                         EPERM);
  }
}

// Waits by looking again, and with nothing in its hands: a fork in another thread need not wait for another process.
DirectoryLock::DirectoryLock(Directory& directory, std::chrono::seconds patience) {
  const auto until = detail::Deadline::after(patience);
  for (auto pause = first_pause; !try_once(directory); pause = std::min(2 * pause, longest_pause)) {
    if (until.is_over()) {
      base::throw_os_error("lock (a process that is stopped may have it)", directory.path(), ETIMEDOUT);
    }
    std::this_thread::sleep_for(pause);
  }
}

bool DirectoryLock::try_once(Directory& directory) {
  here_ = hold_still();
  const int file = os::open_directory(directory.path().c_str());
  file_ = base::Fd(file);
  const int error = file_ ? os::try_lock_file(file, os::FileLock::exclusive) : file;
  const bool is_there = error >= 0 && os::identity_of_path(directory.path().c_str()) == os::identity_of(file);
  if (is_there && os::identity_of(file) == os::identity_of(directory.fd())) return true;
  file_.reset();
  here_.unlock();
  if (error != -EWOULDBLOCK && error != -ENOENT && error < 0) {
    base::throw_os_error("lock the directory of named memory", directory.path(), -error);
  }
  if (error != -EWOULDBLOCK) directory.take(directory.open(directory.missing_));  // it was removed, or is another one
  return false;
}

// By name, and not by closing alone: a process that was made without the handlers of fork() may share the open file.
DirectoryLock::~DirectoryLock() { os::unlock_file(file_.get()); }

void remove_if_empty(const Directory& directory) noexcept {
  if (directory.path() != environment(given_directory)) os::remove_directory(directory.path().c_str());
}

}  // namespace multiprocessing::shared_memory
