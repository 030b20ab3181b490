// Rival: a plain C++ thread pool.  It shares the caller's memory and dies with any of its tasks.
#include "pool/thread_pool.hpp"

#include <cstddef>
#include <future>
#include <vector>

#include "pool/workload.hpp"

namespace {

class Threads {
 public:
  Threads(std::size_t workers, const bench::Placement& placement)
      : pool_{workers, [&placement](std::size_t i) { placement.sit(i + 1); }} {}

  std::vector<int> map(const std::vector<int>& inputs) {
    std::vector<std::future<int>> futures;
    futures.reserve(inputs.size());
    for (const int input : inputs) futures.push_back(pool_.submit(bench::test, input));
    std::vector<int> results;
    results.reserve(inputs.size());
    for (std::future<int>& future : futures) results.push_back(future.get());
    return results;
  }

  int apply(int input) { return pool_.submit(bench::test, input).get(); }

 private:
  bench::ThreadPool pool_;
};

}  // namespace

int main(int argc, char** argv) { return bench::pool_main<Threads>(argc, argv); }
