// The names that this process keeps alive: for each the entry's file, which it has locked with all processes of the
// block's program, and the memory, by which others find it (block.hpp).
//
// All functions: REQUIRES hold_still() or the DirectoryLock.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.hpp"
#include "os/files.hpp"

namespace multiprocessing::shared_memory {

struct Kept {
  std::string name;
  std::string directory;
  std::uint64_t id;  // of the block
  base::Fd entry;
  base::Fd memory;
  os::FileIdentity entry_identity = os::identity_of(entry.get());
  os::FileIdentity memory_identity = os::identity_of(memory.get());
};

void keep(Kept kept);
[[nodiscard]] bool is_kept(std::uint64_t id) noexcept;
// Closes both files, if they are still what they were: a program that closes descriptors it does not know may have others
// under those numbers.
void let_go(std::uint64_t id) noexcept;

}  // namespace multiprocessing::shared_memory
