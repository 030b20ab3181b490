#include <cxxabi.h>

#include "multiprocessing/detail/pool_batch.hpp"
#include "multiprocessing/detail/traced_call.hpp"

namespace multiprocessing::pool {

void run_items(RunningBatch& batch, RunRest run_rest) {
  while (batch.next < batch.count) {
    try {
      crash::traced([&batch, run_rest] { run_rest(batch); });
    } catch (abi::__forced_unwind&) {  // pthread_exit(): not an exception, must go on
      throw;
    } catch (...) {
      if (!batch.called) throw;
      batch.out.truncate(batch.before);
      codec::encode(batch.out, Status::exception);
      encode_current_exception(batch.out);
      ++batch.next;
    }
  }
}

}  // namespace multiprocessing::pool
