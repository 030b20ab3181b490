// The worker: takes tasks from its mailbox and runs them, one after another, until it is told to finish.
#pragma once

#include "multiprocessing/pool_options.hpp"
#include "pool/mailbox.hpp"

namespace multiprocessing::pool {

// Returns the exit code: 0 when it ends in order, 1 when the initializer (or the finalizer) threw.  `doorbell`: the
// host's.
int work(Mailbox& mailbox, sync::EventCount& doorbell, const PoolOptions& options);

}  // namespace multiprocessing::pool
