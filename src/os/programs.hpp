// Other ways than fork() by which a process comes into being: another program, and a sibling.
//
// Results are those of os.hpp: a pid or the negative errno.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

namespace multiprocessing::os {

// A program begins with the descriptors 0 to 2 of this process, as far as they are open, and with `descriptor`
// under this number; all others are closed.
inline constexpr int inherited_descriptor = 3;

enum class Signals { as_here, blocked };  // the signal mask that it begins with

// The memory of this process is not copied, however large it is; safe with any number of threads.
pid_t spawn(const char* program, char* const* arguments, char* const* environment, int descriptor,
            Signals signals) noexcept;

// A copy of this process, as by fork(), whose parent is the parent of this process: that one can wait for it, and
// learns of its end, as of any child.  Its pid is in `announced` before it runs, whatever becomes of this process; 0
// is returned in the copy.
// Of the C library's fork this does only what a process with a single thread needs; of handlers only at_fork()'s run.
// -ENOTSUP: the C library is not as expected.  REQUIRES: one thread; no robust lock is held.
pid_t fork_sibling(std::atomic<std::uint32_t>& announced) noexcept;

// pthread_atfork(), for fork_sibling() too.  Null: nothing to do.  Before main only.
int at_fork(void (*prepare)(), void (*parent)(), void (*child)()) noexcept;

// The same open file at a number above the standard streams', for descriptors that are kept: a program that has closed
// its standard streams must not write into one of ours.  Closes `fd`, also when there is no other number.
int above_standard(int fd) noexcept;

// As many descriptors as the system lets this process have, without asking for more: the soft limit becomes the hard one.
void raise_descriptor_limit() noexcept;

}  // namespace multiprocessing::os
