// The stack of an uncaught exception, on stderr.
#pragma once

#include "crash/trace.hpp"

namespace multiprocessing::process_ {

// For a process that is about to end: returns within seconds whatever happens.  Prints nothing for an empty trace.
void print_stack(const crash::Trace& trace) noexcept;

}  // namespace multiprocessing::process_
