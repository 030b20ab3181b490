// A host with a team of OpenMP threads: a fork of it would hang in its next parallel region.  Its children by spawn and
// forkserver have teams of their own.
#include <cstdlib>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>

namespace mp = multiprocessing;

long sum_in_parallel(long n) {
  long sum = 0;
#pragma omp parallel for reduction(+ : sum) num_threads(4)
  for (long i = 0; i < n; ++i) sum += i;
  return sum;
}

int main() {
  int failures = sum_in_parallel(1000) != 499500;
  for (const auto method : {mp::StartMethod::spawn, mp::StartMethod::forkserver}) {
    for (int i = 0; i < 5; ++i) {
      mp::Queue<long> sums;
      mp::Process child =
          mp::get_context(method).process([](mp::Queue<long> to) { to.put(sum_in_parallel(1000)); }, sums);
      child.start();
      failures += sum_in_parallel(1000) != 499500;
      child.join();
      failures += child.exitcode() != 0 || sums.get() != 499500;
    }
  }
  if (failures != 0) std::cerr << failures << " sums are wrong\n";
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
