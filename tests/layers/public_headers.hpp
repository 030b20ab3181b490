// Which layer each header under include/multiprocessing belongs to.  A new header needs its line here.
#pragma once

#include <map>
#include <string>

namespace multiprocessing::layers {

// Above every layer: what includes it may not be included by any of them.
inline constexpr char kUmbrella[] = "umbrella";

inline const std::map<std::string, std::string> kPublicHeaders = {
    {"connection.hpp", "channel"},
    {"detail/aggregate.hpp", "codec"},
    {"detail/aggregate_fields.hpp", "codec"},
    {"detail/archive.hpp", "codec"},
    {"detail/archive_bytes.hpp", "codec"},
    {"detail/archive_core.hpp", "codec"},
    {"detail/archive_types.hpp", "codec"},
    {"detail/archive_writer.hpp", "codec"},
    {"detail/byte_queue.hpp", "channel"},
    {"detail/callable.hpp", "codec"},
    {"detail/callable_token.hpp", "codec"},
    {"detail/deadline.hpp", "base"},
    {"detail/link.hpp", "channel"},
    {"detail/message_buffer.hpp", "channel"},
    {"detail/pool_core.hpp", "pool"},
    {"detail/pool_jobs.hpp", "pool"},
    {"detail/process_target.hpp", "process"},
    {"detail/ref.hpp", "memory"},
    {"detail/shared_fd.hpp", "base"},
    {"detail/undecoded.hpp", "codec"},
    {"errors.hpp", "base"},
    {"loan.hpp", "channel"},
    {"log.hpp", "base"},
    {"multiprocessing.hpp", kUmbrella},
    {"pool.hpp", "pool"},
    {"process.hpp", "process"},
    {"progress.hpp", "progress"},
    {"queue.hpp", "channel"},
    {"serialize.hpp", "codec"},
    {"sharedctypes.hpp", "synchronize"},
    {"synchronize.hpp", "synchronize"},
    {"trace.hpp", "process"},
    {"wait.hpp", "channel"},
};

}  // namespace multiprocessing::layers
