// The orderly end of a process, as far as named memory is concerned.
#pragma once

namespace multiprocessing::shared_memory {

// Called before _exit() by who ends so; exit() calls it by itself.  This process keeps no name any more, and whose last one
// it was that one is removed.
void leave() noexcept;

}  // namespace multiprocessing::shared_memory
