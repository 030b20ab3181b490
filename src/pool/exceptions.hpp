// What a worker tells the encoding of exceptions (exceptions.cpp), and what that tells the worker.
#pragma once

#include <atomic>
#include <cstdint>

namespace multiprocessing::pool {

// Not 0: std::bad_alloc means that a task wanted more than this, and arrives as MemoryLimitExceeded.
extern constinit std::atomic<std::uint64_t> memory_limit_of_this_process;

// By this thread, since it was set to 0.
extern thread_local unsigned exceptions_encoded;

}  // namespace multiprocessing::pool
