// A start that is no fork: what the child is to run is written down, and goes to a new program or to the forkserver.
#pragma once

#include "memory/family.hpp"
#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/process_target.hpp"
#include "multiprocessing/start_method.hpp"
#include "process/child.hpp"

namespace multiprocessing::process_ {

// Throws OsError; nothing is half-made then.
[[nodiscard]] memory::Forked start_by_message(StartMethod method, const Child& child, const codec::Encoder& target,
                                              detail::TargetReader reader);

}  // namespace multiprocessing::process_
