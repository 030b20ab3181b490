// SIGKILL to a child and everything below it.
#pragma once

#include <sys/types.h>

namespace multiprocessing::process_ {

// `pid` is a child of ours that nobody reaps meanwhile, `pidfd` its descriptor.  Descendants in sessions or
// process groups of their own are found too.  Where /proc cannot be read, only the child itself is killed.
void kill_tree(pid_t pid, int pidfd) noexcept;

}  // namespace multiprocessing::process_
