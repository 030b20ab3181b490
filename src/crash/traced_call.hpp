// The stack at a throw that has passed through traced() (multiprocessing/detail/traced_call.hpp).
#pragma once

#include <cstdint>

#include "crash/trace.hpp"
#include "multiprocessing/detail/traced_call.hpp"

namespace multiprocessing::crash {

// Of the last exception of this thread that passed a traced call, from the throw to that call; empty: none did since
// the last time.  REQUIRES: called by the handler that has caught it.
[[nodiscard]] Trace take_thrown();

// Is this a return address in the frame of a traced call?  What is below it is ours, not the task's.
[[nodiscard]] bool is_traced_call(std::uint64_t address) noexcept;

}  // namespace multiprocessing::crash
