// The orderly end of a process, as far as semaphores are concerned: what it has acquired stays acquired.
#pragma once

namespace multiprocessing::synchronize {

// Called by a member at its end, before _exit().  One that dies without it gives back what it had.
void leave() noexcept;

}  // namespace multiprocessing::synchronize
