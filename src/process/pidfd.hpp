// Closing a pidfd that the program may have closed behind our back.
#pragma once

#include <unistd.h>

#include <cerrno>

#include "os/os.hpp"

namespace multiprocessing::process_ {

// Closes `fd` if it is still a pidfd, and nothing else: a program that closes all descriptors may have opened
// a file of its own under this number since.  An attempt to reap tells the one from the other; it is in vain
// otherwise, for a record lets go of its pidfd when its process has been reaped or is no child of this
// process.
inline void close_if_pidfd(int fd) noexcept {
  os::Ending ending;
  if (fd >= 0 && os::reap(fd, ending) != -EBADF) ::close(fd);
}

}  // namespace multiprocessing::process_
