// The error for a death, with what the worker has left in its mailbox.
#pragma once

#include <sys/types.h>

#include <string>

#include "crash/report.hpp"
#include "multiprocessing/pool_errors.hpp"

namespace multiprocessing::pool {

// status: exit code, or -signal.  REQUIRES: the worker is dead.
[[nodiscard]] WorkerDied worker_died(pid_t pid, int status, const std::string& task, const crash::Report& report);

}  // namespace multiprocessing::pool
