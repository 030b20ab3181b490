// The kernel's number of the calling thread, without a system call after the first.  Right in a forked child too.
#pragma once

#include <sys/types.h>

namespace multiprocessing::sync {

[[nodiscard]] pid_t thread_id() noexcept;

}  // namespace multiprocessing::sync
