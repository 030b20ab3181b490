#include "shared_memory/names.hpp"

#include <atomic>
#include <cerrno>
#include <functional>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "os/faults.hpp"
#include "shared_memory/entry.hpp"

namespace multiprocessing::shared_memory {
namespace {

constinit std::atomic<std::uint64_t> swept{0};  // the directory: a hash of its path and inode

void remove(const Directory& directory, const std::string& name) {
  const int error = os::unlink_file(directory.fd(), name.c_str());
  if (error < 0 && error != -ENOENT) base::throw_os_error("remove", directory.path_of(name), -error);
  MULTIPROCESSING_STEP("name.leftover_removed");
}

// The lock is taken by another open file than those of its program: it is had only where none of them is left.  Nobody
// mistakes this one for theirs, for all who look have the directory's lock.
State judge(const base::Fd& file, const std::string& name) {
  const auto record = read_record(file.get());
  if (record && record->is_persistent() && !is_draft(name)) return State::alive;
  return os::try_lock_file(file.get(), os::FileLock::exclusive) == -EWOULDBLOCK ? State::alive : State::left;
}

}  // namespace

State state_of(const Directory& directory, const std::string& name) {
  const int fd = os::open_file(directory.fd(), name.c_str());
  if (fd == -ENOENT) return State::absent;
  if (fd == -EINVAL || fd == -ELOOP) return State::no_entry;
  if (fd < 0) base::throw_os_error("open", directory.path_of(name), -fd);
  const base::Fd file(fd);
  return judge(file, name);
}

bool remove_if_left(const std::string& path, const std::string& name, std::uint64_t id) noexcept {
  try {
    Directory directory(path);
    const DirectoryLock lock(directory, std::chrono::seconds(1));
    const base::Fd file(os::open_file(directory.fd(), name.c_str()));
    if (is_entry_of(file, id) && judge(file, name) == State::left) {
      remove(directory, name);
      remove_if_empty(directory);
    }
    return true;
  } catch (const OsError& error) {
    return error.code().value() != ETIMEDOUT;
  } catch (...) {  // no memory
    return false;
  }
}

void sweep_once(Directory& directory) {
  const std::uint64_t here = std::hash<std::string>()(directory.path()) ^ os::identity_of(directory.fd()).inode;
  if (swept.exchange(here) == here) return;
  std::vector<std::string> names;
  const auto add = [](void* all, const char* name) { static_cast<std::vector<std::string>*>(all)->emplace_back(name); };
  os::for_each_name(directory.fd(), add, &names);
  if (names.empty()) return;
  const DirectoryLock lock(directory);
  for (const std::string& name : names) {
    try {
      if (state_of(directory, name) == State::left) remove(directory, name);
    } catch (const OsError&) {  // whoever needs this very name is told
    }
  }
}

}  // namespace multiprocessing::shared_memory
