// A start that is no fork: what the child is to run is written down, and goes to a new program or to the forkserver.
#pragma once

#include <atomic>

#include "base/log.hpp"
#include "memory/family.hpp"
#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/process_target.hpp"
#include "multiprocessing/start_method.hpp"
#include "process/child.hpp"

namespace multiprocessing::process_ {

// The child writes log lines from `log_level` on.  Throws OsError; nothing is half-made then.
[[nodiscard]] memory::Forked start_by_message(StartMethod method, const Child& child, const codec::Encoder& target,
                                              detail::TargetReader reader,
                                              int log_level = base::lowest_log_level.load(std::memory_order_relaxed));

}  // namespace multiprocessing::process_
