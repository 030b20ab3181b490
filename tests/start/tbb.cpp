// A host with oneTBB's threads, and results that its tasks wait for.  Workers by spawn and forkserver have threads of
// their own; so has a pool by fork that was made before the host's first parallel work.
#include <tbb/parallel_for.h>
#include <tbb/parallel_reduce.h>

#include <atomic>
#include <functional>
#include <multiprocessing/multiprocessing.hpp>
#include <vector>

#include "host.hpp"

namespace mp = multiprocessing;

constexpr long sum_to_1000 = 499500;

long sum_in_parallel(long n) {
  return tbb::parallel_reduce(
      tbb::blocked_range<long>(0, n, 10), 0L,
      [](const tbb::blocked_range<long>& part, long sum) {
        for (long i = part.begin(); i < part.end(); ++i) sum += i;
        return sum;
      },
      std::plus<>());
}

void check_pool(mp::Pool& pool) {
  auto later = pool.map_async(sum_in_parallel, std::vector<long>(20, 1000));
  check(sum_in_parallel(1000) == sum_to_1000, "the host's work goes on meanwhile");
  check(later.get() == std::vector<long>(20, sum_to_1000), "tasks run in parallel");
  std::atomic<int> right{0};
  tbb::parallel_for(0, 40, [&](int i) { right += pool.apply([](int x) { return 2 * x; }, i) == 2 * i; });
  check(right == 40, "every thread of the host gets its own results");
}

int main() {
  mp::Pool early(2);
  check(sum_in_parallel(1000) == sum_to_1000, "the host works");
  check_pool(early);
  for (const auto method : {mp::StartMethod::spawn, mp::StartMethod::forkserver}) {
    mp::Pool pool = mp::get_context(method).pool(2);
    check_pool(pool);
  }
  return EXIT_SUCCESS;
}
