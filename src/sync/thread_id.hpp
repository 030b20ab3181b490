// The kernel's number of the calling thread, without a system call after the first.  Right in a forked child too.
#pragma once

#include <sys/types.h>

namespace multiprocessing::sync {

inline constinit thread_local pid_t known_thread_id = 0;  // 0: not asked for yet

pid_t ask_for_thread_id() noexcept;

[[nodiscard]] inline pid_t thread_id() noexcept { return known_thread_id != 0 ? known_thread_id : ask_for_thread_id(); }

}  // namespace multiprocessing::sync
