// What becomes of a name whose program has ended: whoever meets it removes it.
#pragma once

#include <cstdint>
#include <string>

#include "shared_memory/directory.hpp"

namespace multiprocessing::shared_memory {

// What is to become a persistent block, under a name that no block can have.
inline constexpr char draft_prefix[] = ".new-";
[[nodiscard]] inline bool is_draft(const std::string& name) { return name.starts_with(draft_prefix); }

enum class State {
  absent,
  alive,     // of a program that lives, or persistent
  left,      // of a program that has ended, or was never finished
  no_entry,  // something else lies there
};
// What there is under this name.  REQUIRES: the DirectoryLock.  Throws OsError.
[[nodiscard]] State state_of(const Directory& directory, const std::string& name);

// Removes the entry, if it is still that of this block and nobody keeps it.  False: it cannot be known soon.
bool remove_if_left(const std::string& directory, const std::string& name, std::uint64_t id) noexcept;

// All that is left over; once for each process and directory.
void sweep_once(Directory& directory);

}  // namespace multiprocessing::shared_memory
