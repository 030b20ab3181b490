// A block in use: found, sent, closed, unlinked.
//
// Attaching reads the entry, without the directory's lock, and opens by /proc what it names.  What is opened is known by
// its identity, which no two memory files have, so an entry that is out of date leads nowhere and never to other memory.
//
//  died …                         what the others see
//  attaching, anywhere            nothing
//  unlinking, before `unlinked`   the name is there, as before
//  unlinked                       the name is free.  Who has the memory mapped goes on with it
#include "shared_memory/block.hpp"

#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "base/error.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "shared_memory/entry.hpp"
#include "shared_memory/kept.hpp"
#include "shared_memory/mapping.hpp"
#include "shared_memory/names.hpp"

namespace multiprocessing::shared_memory {
namespace {

using detail::Deadline;

std::size_t data_at(const Block::Identity& identity) noexcept {
  return identity.is_persistent ? persistent_data_at : 0;
}

// An entry that was there a moment ago.
struct Found {
  base::Fd file;
  std::optional<EntryRecord> record;
};

// What names a memory file of before the machine's last start may name another one now.
std::optional<EntryRecord> read_usable_record(int fd) {
  auto record = read_record(fd);
  if (record && !record->is_persistent() && record->boot != os::boot_identity()) record.reset();
  return record;
}

Found find(const Directory& directory, const std::string& name) {
  const int fd = os::open_file(directory.fd(), name.c_str());
  if (fd < 0) base::throw_os_error("attach to shared memory", name, -fd);
  return {base::Fd(fd), read_usable_record(fd)};
}

base::Fd require_memory(int fd, const std::string& name) {
  if (fd < 0) base::throw_os_error("reach the memory of", name, -fd);
  return base::Fd(fd);
}

// Empty: there is none.
base::Fd open_entry(const Directory& directory, const std::string& name) {
  const int fd = os::open_file(directory.fd(), name.c_str());
  if (fd < 0 && fd != -ENOENT && fd != -EINVAL && fd != -ELOOP) {
    base::throw_os_error("open the entry of shared memory", directory.path_of(name), -fd);
  }
  return base::Fd(fd);
}

// What there is under this name is not what was found there.  REQUIRES: the directory's lock.
bool has_changed(const Directory& directory, const std::string& name, const Found& found) {
  const base::Fd now = open_entry(directory, name);
  if (!now) return true;
  const auto record = read_usable_record(now.get());
  if (state_of(directory, name) == State::left) {
    os::unlink_file(directory.fd(), name.c_str());
    remove_if_empty(directory);
    return true;
  }
  if (!record) throw Error("the entry of shared memory '" + name + "' is damaged");
  return !found.record || found.record->id != record->id;
}

// How long a process that is killed may have no memory any more (then nobody may look at what it has open) and still hold
// its locks.
constexpr std::chrono::seconds longest_death{2};
constexpr std::chrono::milliseconds nap{1};

// The entry's process has ended, or is about to, or hides what it has open.  Nothing: look at the name anew.
base::Fd find_by_search(Directory& directory, const std::string& name, const Found& found, Deadline patience) {
  {
    const DirectoryLock lock(directory);
    if (has_changed(directory, name, found)) return {};
  }
  const int fd = os::open_of_any_process(found.record->memory(), static_cast<int>(found.record->fd));
  if (fd != -ENOENT) return require_memory(fd, name);
  {
    const DirectoryLock lock(directory);
    if (has_changed(directory, name, found)) return {};
  }
  if (!patience.is_over()) {
    os::poll({}, Deadline::after(nap));
    return {};
  }
  base::throw_os_error("reach the memory (its program hides it, or has closed its descriptor) of", name, EACCES);
}

base::Fd memory_of(Directory& directory, const std::string& name, const Found& found, Deadline patience) {
  if (found.record) {
    const EntryRecord& record = *found.record;
    const int fd = os::open_of_process(static_cast<pid_t>(record.pid), static_cast<int>(record.fd), record.memory());
    if (fd >= 0 || fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM) return require_memory(fd, name);
  }
  return find_by_search(directory, name, found, patience);
}

[[noreturn]] void throw_damaged(const std::string& name) {
  throw Error("the entry of shared memory '" + name + "' does not fit its memory");
}

Mapping map(int fd, const EntryRecord& record, const std::string& name) {
  std::uint64_t bytes = 0;
  const std::uint64_t expected = record.size + (record.is_persistent() ? persistent_data_at : 0);
  if (os::file_size(fd, bytes) < 0 || bytes != expected || bytes < record.size) throw_damaged(name);
  if (!record.is_persistent() && !os::is_size_sealed(fd)) throw_damaged(name);
  return Mapping(fd, bytes, name);
}

bool is_kept_here(std::uint64_t id) {
  const auto still = hold_still();
  return is_kept(id);
}

// The name may be removed, or given to another block, while we look.
std::shared_ptr<Block> attach_in(Directory& directory, const std::string& name, const std::uint64_t* wanted,
                                 base::Fd* memory_too) {
  const Deadline patience = Deadline::after(longest_death);
  for (;;) {
    Found found = find(directory, name);
    if (wanted != nullptr && found.record && found.record->id != *wanted) {
      base::throw_os_error("attach to shared memory", name, ENOENT);
    }
    MULTIPROCESSING_STEP("name.found");
    const bool is_persistent = found.record && found.record->is_persistent();
    base::Fd memory = is_persistent ? std::move(found.file) : memory_of(directory, name, found, patience);
    if (!memory) continue;
    Mapping mapping = map(memory.get(), *found.record, name);
    MULTIPROCESSING_STEP("name.mapped");
    const std::uint64_t id = found.record->id;
    const bool is_ours = is_persistent || is_kept_here(id);
    auto block =
        std::make_shared<Block>(Block::Identity{name, directory.path(), id, is_persistent, is_ours}, mapping.get());
    static_cast<void>(mapping.release());
    if (memory_too != nullptr) *memory_too = std::move(memory);
    return block;
  }
}

}  // namespace

Block::Block(Identity identity, std::span<std::byte> mapping) noexcept
    : identity_(std::move(identity)),
      size_(mapping.size() - data_at(identity_)),
      memory_(mapping.data() + data_at(identity_)) {}

// A guest looks whether it was the last who knew of a program that has ended.
void Block::close() noexcept {
  std::byte* const memory = memory_.exchange(nullptr);
  if (memory == nullptr) return;
  const std::size_t before = data_at(identity_);
  os::unmap_guarded(memory - before, before + size_);
  if (!identity_.is_ours) remove_if_left(identity_.directory, identity_.name, identity_.id);
}

void Block::unlink() const {
  if (!identity_.is_ours) {
    throw std::logic_error("SharedMemory::unlink: '" + identity_.name +
                           "' belongs to the program that created it, and this one has only attached to it");
  }
  Directory directory(identity_.directory);
  const DirectoryLock lock(directory);
  const base::Fd file = open_entry(directory, identity_.name);
  const bool is_it = is_entry_of(file, identity_.id);
  const int error = is_it ? os::unlink_file(directory.fd(), identity_.name.c_str()) : -ENOENT;
  if (error < 0 && error != -ENOENT) base::throw_os_error("unlink shared memory", identity_.name, -error);
  MULTIPROCESSING_STEP("name.unlinked");
  let_go(identity_.id);
  remove_if_empty(directory);
  if (error < 0) base::throw_os_error("unlink shared memory", identity_.name, -error);
}

std::shared_ptr<Block> attach(const std::string& name) {
  require_name(name);
  std::optional<Directory> directory;
  try {
    directory.emplace(Directory::Missing::is_an_error);
  } catch (const OsError& error) {
    if (error.code().value() != ENOENT) throw;
    base::throw_os_error("attach to shared memory", name, ENOENT);
  }
  sweep_once(*directory);
  return attach_in(*directory, name, nullptr, nullptr);
}

std::shared_ptr<Block> adopt(const Block::Identity& sent) {
  require_name(sent.name);
  Directory directory(sent.directory);
  base::Fd memory;
  const std::shared_ptr<Block> guest = attach_in(directory, sent.name, &sent.id, &memory);
  if (!sent.is_ours || guest->identity().is_persistent) return guest;
  const DirectoryLock lock(directory);
  if (!is_kept(sent.id)) {
    base::Fd entry = open_entry(directory, sent.name);
    if (!is_entry_of(entry, sent.id)) {
      base::throw_os_error("attach to shared memory", sent.name, ENOENT);
    }
    if (const int error = os::try_lock_file(entry.get(), os::FileLock::shared); error < 0) {
      base::throw_os_error("lock the entry of shared memory", sent.name, -error);
    }
    keep({sent.name, sent.directory, sent.id, std::move(entry), std::move(memory)});
  }
  guest->become_ours();
  return guest;
}

}  // namespace multiprocessing::shared_memory
