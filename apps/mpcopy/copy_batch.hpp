// The task that mpcopy gives to its pool.
#pragma once

#include "job.hpp"

namespace mpcopy {

// What each worker does first.
void prepare_worker();

// Copies each item of the batch; one that fails costs a message and nothing else.
BatchResult copy_batch(const Batch& batch);

}  // namespace mpcopy
