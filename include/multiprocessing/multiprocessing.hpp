// Everything: Python's `import multiprocessing as mp`.
//
//   #include <multiprocessing/multiprocessing.hpp>
//   namespace mp = multiprocessing;
//
// Or one header per concept, which compiles faster: each is the manual of what it declares.
#pragma once

#include "multiprocessing/async_result.hpp"
#include "multiprocessing/connection.hpp"
#include "multiprocessing/context.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/executor.hpp"
#include "multiprocessing/listener.hpp"
#include "multiprocessing/loan.hpp"
#include "multiprocessing/log.hpp"
#include "multiprocessing/manager.hpp"
#include "multiprocessing/manager_server.hpp"
#include "multiprocessing/parallel.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/pool_errors.hpp"
#include "multiprocessing/pool_options.hpp"
#include "multiprocessing/pool_stats.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/progress.hpp"
#include "multiprocessing/queue.hpp"
#include "multiprocessing/register_exception.hpp"
#include "multiprocessing/serialize.hpp"
#include "multiprocessing/shareable_list.hpp"
#include "multiprocessing/shared.hpp"
#include "multiprocessing/shared_memory.hpp"
#include "multiprocessing/sharedctypes.hpp"
#include "multiprocessing/start_method.hpp"
#include "multiprocessing/synchronize.hpp"
#include "multiprocessing/this_task.hpp"
#include "multiprocessing/tls_options.hpp"
#include "multiprocessing/trace.hpp"
#include "multiprocessing/wait.hpp"
