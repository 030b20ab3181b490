// A host with a team of OpenMP threads.  Its children and workers by spawn and forkserver have teams of their own; by fork
// they do as long as the host had none when they began.  Later ones may run anything but a parallel region, in which
// libgomp waits for threads that the fork has not copied: such a task fails by its timeout, and the pool goes on.
#include <chrono>
#include <multiprocessing/multiprocessing.hpp>
#include <numeric>
#include <vector>

#include "host.hpp"
#include "support/sanitizers.hpp"

namespace mp = multiprocessing;
namespace testing = mp::testing;
using namespace std::chrono_literals;

constexpr long sum_to_1000 = 499500;

long sum_in_parallel(long n) {
  long sum = 0;
#pragma omp parallel for reduction(+ : sum) num_threads(4)
  for (long i = 0; i < n; ++i) sum += i;
  return sum;
}

void check_map(mp::Pool& pool) {
  auto later = pool.map_async(sum_in_parallel, std::vector<long>(20, 1000));
  check(sum_in_parallel(1000) == sum_to_1000, "the host's regions go on meanwhile");
  check(later.get() == std::vector<long>(20, sum_to_1000), "tasks run regions");
}

void check_process(mp::StartMethod method) {
  mp::Queue<long> sums;
  mp::Process child = mp::get_context(method).process([](mp::Queue<long> to) { to.put(sum_in_parallel(1000)); }, sums);
  child.start();
  check(sum_in_parallel(1000) == sum_to_1000, "the host's regions go on beside a child");
  child.join();
  check(child.exitcode() == 0 && sums.get() == sum_to_1000, "a child runs regions");
}

void check_late_fork() {
  mp::Pool pool(2);
  check(pool.map([](int x) { return x + 1; }, std::vector{1, 2}) == std::vector{2, 3}, "tasks without regions work");
  try {
    check(pool.apply({.timeout = 300ms}, sum_in_parallel, 1000) == sum_to_1000, "a sum is right where there is one");
  } catch (const mp::TaskTimeout&) {
  }
  check(pool.apply([](int x) { return x; }, 4) == 4, "the pool goes on");
}

int main() {
  mp::Pool early(2);
  check(sum_in_parallel(1000) == sum_to_1000, "the host runs regions");
  check_map(early);
  for (const auto method : {mp::StartMethod::spawn, mp::StartMethod::forkserver}) {
    for (int i = 0; i < 5; ++i) check_process(method);
    mp::Pool pool = mp::get_context(method).pool(2);
    check_map(pool);
  }
  // A sanitizer's own locks do not survive a fork in a program with threads.
  if (!testing::under_asan && !testing::under_tsan) check_late_fork();
  return EXIT_SUCCESS;
}
