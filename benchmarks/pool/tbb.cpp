// Rival: oneTBB's task_group, a task per call.  Threads, in the caller's memory.
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_group.h>

#include <cstddef>
#include <vector>

#include "pool/workload.hpp"

namespace {

class Tbb {
 public:
  Tbb(std::size_t workers, const bench::Placement&)
      : threads_(oneapi::tbb::global_control::max_allowed_parallelism, workers) {}

  std::vector<int> map(const std::vector<int>& inputs) {
    std::vector<int> results(inputs.size());
    oneapi::tbb::task_group group;
    for (std::size_t i = 0; i < inputs.size(); ++i) group.run([&, i] { results[i] = bench::test(inputs[i]); });
    group.wait();
    return results;
  }

  int apply(int input) {
    int result = 0;
    oneapi::tbb::task_group group;
    group.run_and_wait([&] { result = bench::test(input); });
    return result;
  }

 private:
  oneapi::tbb::global_control threads_;
};

}  // namespace

int main(int argc, char** argv) { return bench::pool_main<Tbb>(argc, argv); }
