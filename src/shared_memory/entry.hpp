// What stands in the file of a name (docs/formats/shared_memory.md).
//
//   memory of a program   the record alone: where the memory is to be found.  The file is locked, shared, by those who
//                         keep the name alive; one that nobody has locked is left over from the dead
//   persistent            the record, and from `persistent_data_at` on the memory itself.  Nobody locks it
//
// The record is written last, by one call; a file without a valid one is not there for those who look for its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

#include "base/fd.hpp"
#include "os/files.hpp"

namespace multiprocessing::shared_memory {

inline constexpr std::uint64_t entry_magic = 0x31656d616e706d2eU;  // ".mpname1"
inline constexpr std::uint64_t persistent_data_at = os::page_bytes;

struct EntryRecord {
  std::uint64_t magic = entry_magic;
  std::uint64_t id = 0;             // random: file systems give the number of a removed file to the next one
  std::uint64_t boot = 0;           // os::boot_identity() at the creation
  std::uint64_t size = 0;           // of the memory, as asked for
  std::uint64_t memory_device = 0;  // what tells its memfd from all others; zeros: persistent
  std::uint64_t memory_inode = 0;
  std::uint32_t pid = 0;  // who has created it, and its descriptor there
  std::uint32_t fd = 0;
  std::uint64_t check = 0;  // of all bytes before

  [[nodiscard]] bool is_persistent() const noexcept { return memory_inode == 0; }
  [[nodiscard]] os::FileIdentity memory() const noexcept { return {memory_device, memory_inode}; }
};
static_assert(std::is_trivially_copyable_v<EntryRecord> && sizeof(EntryRecord) == 64);

[[nodiscard]] inline std::uint64_t check_of(const EntryRecord& record) noexcept {
  unsigned char bytes[offsetof(EntryRecord, check)];
  std::memcpy(bytes, &record, sizeof bytes);
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
  for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3U;
  return hash;
}

[[nodiscard]] inline int write_record(int fd, EntryRecord record) noexcept {
  record.check = check_of(record);
  return os::write_all(fd, std::as_bytes(std::span(&record, 1)), 0);
}

// Nothing: it is not written yet, or damaged.
[[nodiscard]] inline std::optional<EntryRecord> read_record(int fd) noexcept {
  EntryRecord record;
  if (os::read_all(fd, std::as_writable_bytes(std::span(&record, 1)), 0) != sizeof record) return std::nullopt;
  if (record.magic != entry_magic || record.check != check_of(record) || record.size == 0) return std::nullopt;
  return record;
}

// The file of a name, which may be that of another block by now, or missing.
[[nodiscard]] inline bool is_entry_of(const base::Fd& file, std::uint64_t id) noexcept {
  if (!file) return false;
  const auto record = read_record(file.get());
  return record && record->id == id;
}

}  // namespace multiprocessing::shared_memory
