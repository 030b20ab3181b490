// How a daemon child learns that its parent is gone, by whatever means it went.
#pragma once

#include <sys/types.h>

namespace multiprocessing::process_ {

// From here on this process does not outlive `parent`, which forked it from its main thread or from another.
// Throws OsError.
void die_with_parent(pid_t parent, bool forked_by_main_thread);

}  // namespace multiprocessing::process_
