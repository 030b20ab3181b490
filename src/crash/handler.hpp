// The crash handler of a pool worker: for SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS and SIGTRAP it writes a
// Report, and then lets the signal do what it would have done: exit status and core dump are those of the signal.
//
// - It runs on a stack of its own in the thread that has called install(), so that a stack that has run over can be
//   reported; in other threads on theirs.
// - It takes no memory and no lock.  Where it faults itself (over a stack that was overwritten), or hangs, the process
//   dies of the first signal all the same, with the frames found so far.
// - Handlers that the program or a sanitizer has installed stay; a process that the worker forks reports nothing.
#pragma once

#include "crash/report.hpp"

namespace multiprocessing::crash {

// REQUIRES: the report stays mapped for as long as the process lives.
void install_handler(Report& report) noexcept;

}  // namespace multiprocessing::crash
