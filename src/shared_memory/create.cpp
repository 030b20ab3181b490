// How a name comes into being.
//
//  died …                              what the others see
//  memory made                         nothing: the kernel takes the memory
//  leftover removed                    the name is free
//  file made, or made and locked       no block of that name; the file is left, and removed by whoever meets it
//  record written                      the block was there: as when its program dies at any later time, the memory goes with
//                                      the last who has it mapped, and the file is left, as above
// Persistent blocks are made under another name, which is swept where it is left, and get theirs by one call:
//  anywhere before `renamed`           no block of that name; memory and all go with the sweep
//  renamed                             the block is there
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <stdexcept>
#include <utility>

#include "base/error.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "os/programs.hpp"
#include "shared_memory/block.hpp"
#include "shared_memory/entry.hpp"
#include "shared_memory/kept.hpp"
#include "shared_memory/mapping.hpp"
#include "shared_memory/names.hpp"

namespace multiprocessing::shared_memory {
namespace {

constexpr std::size_t longest_name = 200;

std::string random_name(const char* prefix) {
  std::byte random[8];
  if (const int error = os::random_bytes(random); error < 0) {
    base::throw_os_error("make a random name for", "shared memory", -error);
  }
  std::string name = prefix;
  for (const std::byte byte : random) {
    constexpr char digits[] = "0123456789abcdef";
    name += digits[std::to_integer<unsigned>(byte) >> 4];
    name += digits[std::to_integer<unsigned>(byte) & 15];
  }
  return name;
}

void require_success(int outcome, const char* operation, const std::string& name) {
  if (outcome < 0) base::throw_os_error(operation, name, -outcome);
}

// The kernel would rather kill somebody than refuse the last page.  Asking takes half a millisecond, which is not worth it
// for what any program takes with a malloc().
constexpr std::size_t worth_asking = std::size_t{16} << 20;
void require_memory(const Creation& creation) {
  if (creation.size < worth_asking) return;
  const std::uint64_t available = os::available_memory();
  if (creation.size <= available) return;
  const std::string what = "allocate " + std::to_string(creation.size) + " bytes (there are " +
                           std::to_string(available) + ") for shared memory";
  base::throw_os_error(what, creation.name, ENOMEM);
}

base::Fd make_memory(const Creation& creation) {
  require_memory(creation);
  const int fd = os::above_standard(os::memfd_create("multiprocessing.named"));
  require_success(fd, "memfd_create", creation.name);
  base::Fd memory(fd);
  require_success(os::set_size(fd, creation.size), "set the size of shared memory", creation.name);
  require_success(os::secure_pages(fd, 0, creation.size), "allocate shared memory", creation.name);
  require_success(os::seal_size(fd), "seal the size of shared memory", creation.name);
  return memory;
}

// Whatever is left of the dead goes.  REQUIRES: the directory's lock.
void make_way(const Directory& directory, const std::string& name) {
  switch (state_of(directory, name)) {
    case State::absent:
      return;
    case State::left:
      require_success(os::unlink_file(directory.fd(), name.c_str()), "remove what is left of shared memory", name);
      MULTIPROCESSING_STEP("name.leftover_removed");
      return;
    case State::alive:
    case State::no_entry:
      base::throw_os_error("create shared memory", name, EEXIST);
  }
}

base::Fd make_locked_file(const Directory& directory, const std::string& name) {
  const int fd = os::create_file(directory.fd(), name.c_str());
  require_success(fd, "create the entry of shared memory", directory.path_of(name));
  base::Fd file(fd);
  MULTIPROCESSING_STEP("name.file_made");
  if (const int error = os::try_lock_file(fd, os::FileLock::shared); error < 0) {
    os::unlink_file(directory.fd(), name.c_str());
    base::throw_os_error("lock the entry of shared memory", directory.path_of(name), -error);
  }
  MULTIPROCESSING_STEP("name.file_locked");
  return file;
}

EntryRecord new_record(const Creation& creation) {
  EntryRecord record;
  if (const int error = os::random_bytes(std::as_writable_bytes(std::span(&record.id, 1))); error < 0) {
    base::throw_os_error("make an id for shared memory", creation.name, -error);
  }
  record.boot = os::boot_identity();
  record.size = creation.size;
  return record;
}

Block::Identity identity_of(const Creation& creation, const Directory& directory, const EntryRecord& record) {
  return {creation.name, directory.path(), record.id, creation.persist, true};
}

std::shared_ptr<Block> create_of_program(const Creation& creation, Directory& directory) {
  base::Fd memory = make_memory(creation);
  Mapping mapping(memory.get(), creation.size, creation.name);
  if (creation.fill) creation.fill(mapping.get());
  MULTIPROCESSING_STEP("name.memory_made");

  const DirectoryLock lock(directory);
  make_way(directory, creation.name);
  base::Fd entry = make_locked_file(directory, creation.name);
  EntryRecord record = new_record(creation);
  const os::FileIdentity identity = os::identity_of(memory.get());
  record.memory_device = identity.device;
  record.memory_inode = identity.inode;
  record.pid = static_cast<std::uint32_t>(::getpid());
  record.fd = static_cast<std::uint32_t>(memory.get());
  const int file = entry.get();
  try {
    auto block = std::make_shared<Block>(identity_of(creation, directory, record), mapping.get());
    static_cast<void>(mapping.release());
    keep({creation.name, directory.path(), record.id, std::move(entry), std::move(memory)});
    require_success(write_record(file, record), "write the entry of shared memory", directory.path_of(creation.name));
    MULTIPROCESSING_STEP("name.written");
    return block;
  } catch (...) {
    os::unlink_file(directory.fd(), creation.name.c_str());
    let_go(record.id);
    throw;
  }
}

// Removes a file unless it was renamed.
class Draft {
 public:
  Draft(const Directory& directory, std::string name) : directory_(directory), name_(std::move(name)) {}
  ~Draft() {
    if (!name_.empty()) os::unlink_file(directory_.fd(), name_.c_str());
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  void becomes(const std::string& name) {
    require_success(os::rename_file(directory_.fd(), name_.c_str(), name.c_str()), "give its name to shared memory",
                    name);
    name_.clear();
  }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  const Directory& directory_;
  std::string name_;
};

base::Fd make_draft(Directory& directory, const std::string& name) {
  const DirectoryLock lock(directory);
  return make_locked_file(directory, name);
}

std::shared_ptr<Block> create_persistent(const Creation& creation, Directory& directory) {
  Draft draft(directory, random_name(draft_prefix));
  const base::Fd file = make_draft(directory, draft.name());
  const std::uint64_t bytes = persistent_data_at + creation.size;
  require_success(os::set_size(file.get(), bytes), "set the size of shared memory", creation.name);
  require_success(os::secure_pages(file.get(), 0, bytes), "allocate shared memory", creation.name);
  Mapping mapping(file.get(), bytes, creation.name);
  if (creation.fill) creation.fill(mapping.get().subspan(persistent_data_at));
  const EntryRecord record = new_record(creation);
  require_success(write_record(file.get(), record), "write the entry of shared memory", creation.name);
  MULTIPROCESSING_STEP("name.draft_written");

  const DirectoryLock lock(directory);
  make_way(directory, creation.name);
  auto block = std::make_shared<Block>(identity_of(creation, directory, record), mapping.get());
  static_cast<void>(mapping.release());
  draft.becomes(creation.name);
  MULTIPROCESSING_STEP("name.renamed");
  return block;
}

}  // namespace

void require_name(const std::string& name) {
  const bool good = !name.empty() && name.size() <= longest_name && name.front() != '.' &&
                    name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
  if (!good) {
    throw std::invalid_argument("the name of shared memory has 1 to 200 bytes, no '/' and no '.' at its beginning: '" +
                                name.substr(0, longest_name) + "'");
  }
}

std::shared_ptr<Block> create(Creation creation) {
  if (creation.size == 0) throw std::invalid_argument("SharedMemory: the size of what is created is not 0");
  if (creation.size > std::numeric_limits<std::size_t>::max() / 4) {
    base::throw_os_error("allocate shared memory", creation.name, ENOMEM);
  }
  const bool nameless = creation.name.empty();
  if (nameless) creation.name = random_name("mp_");
  require_name(creation.name);
  Directory directory(Directory::Missing::is_made);
  sweep_once(directory);
  return creation.persist ? create_persistent(creation, directory) : create_of_program(creation, directory);
}

}  // namespace multiprocessing::shared_memory
