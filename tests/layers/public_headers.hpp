// Which layer each header under include/multiprocessing belongs to.  A new header needs its line here.
#pragma once

#include <map>
#include <string>

namespace multiprocessing::layers {

// Above every layer: what includes it may not be included by any of them.
inline constexpr char kUmbrella[] = "umbrella";

inline const std::map<std::string, std::string> kPublicHeaders = {
    {"async_result.hpp", "pool"},
    {"connection.hpp", "channel"},
    {"context.hpp", "process"},
    {"detail/aggregate.hpp", "codec"},
    {"detail/aggregate_fields.hpp", "codec"},
    {"detail/archive.hpp", "codec"},
    {"detail/archive_bytes.hpp", "codec"},
    {"detail/archive_core.hpp", "codec"},
    {"detail/archive_types.hpp", "codec"},
    {"detail/archive_writer.hpp", "codec"},
    {"detail/byte_queue.hpp", "channel"},
    {"detail/call_text.hpp", "pool"},
    {"detail/callable.hpp", "codec"},
    {"detail/callable_token.hpp", "codec"},
    {"detail/constant.hpp", "codec"},
    {"detail/deadline.hpp", "base"},
    {"detail/link.hpp", "channel"},
    {"detail/manager_client.hpp", "manager"},
    {"detail/manager_own.hpp", "manager"},
    {"detail/message_buffer.hpp", "channel"},
    {"detail/parallel_core.hpp", "parallel"},
    {"detail/parallel_work.hpp", "parallel"},
    {"detail/pool_batch.hpp", "pool"},
    {"detail/pool_core.hpp", "pool"},
    {"detail/pool_imap.hpp", "pool"},
    {"detail/pool_jobs.hpp", "pool"},
    {"detail/process_target.hpp", "process"},
    {"detail/ref.hpp", "memory"},
    {"detail/register_exception.hpp", "pool"},
    {"detail/routine.hpp", "process"},
    {"detail/shared_fd.hpp", "base"},
    {"detail/traced_call.hpp", "crash"},
    {"detail/undecoded.hpp", "codec"},
    {"errors.hpp", "base"},
    {"executor.hpp", "pool"},
    {"listener.hpp", "channel"},
    {"loan.hpp", "channel"},
    {"log.hpp", "base"},
    {"manager.hpp", "manager"},
    {"manager_pool.hpp", "manager"},
    {"manager_server.hpp", "manager"},
    {"multiprocessing.hpp", kUmbrella},
    {"parallel.hpp", "parallel"},
    {"pool.hpp", "pool"},
    {"pool_errors.hpp", "pool"},
    {"pool_options.hpp", "pool"},
    {"pool_stats.hpp", "pool"},
    {"process.hpp", "process"},
    {"progress.hpp", "progress"},
    {"proxies.hpp", "manager"},
    {"queue.hpp", "channel"},
    {"register_exception.hpp", "pool"},
    {"serialize.hpp", "codec"},
    {"shared.hpp", "codec"},
    {"shareable_list.hpp", "shared_memory"},
    {"shared_memory.hpp", "shared_memory"},
    {"sharedctypes.hpp", "synchronize"},
    {"start_method.hpp", "process"},
    {"synchronize.hpp", "synchronize"},
    {"this_task.hpp", "pool"},
    {"tls_options.hpp", "wire"},
    {"trace.hpp", "process"},
    {"wait.hpp", "channel"},
};

}  // namespace multiprocessing::layers
