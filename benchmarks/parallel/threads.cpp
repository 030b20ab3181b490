// std::thread: the textbook's equal shares, which is also what one writes for items whose times differ.
#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <thread>
#include <vector>

#include "parallel/workload.hpp"

namespace {

class Threads {
 public:
  Threads(std::size_t workers, const bench::Placement&) : workers_(workers) {}

  double sum(std::span<const double> numbers) const {
    std::vector<double> sums(workers_);
    share(numbers.size(), [&](std::size_t worker, std::size_t first, std::size_t end) {
      sums[worker] = std::accumulate(numbers.data() + first, numbers.data() + end, 0.0);
    });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
  }
  template <class F>
  void for_each(std::size_t items, const F& f) const {
    share(items, [&](std::size_t, std::size_t first, std::size_t end) {
      for (std::size_t i = first; i < end; ++i) f(i);
    });
  }

 private:
  template <class F>
  void share(std::size_t items, const F& f) const {
    std::vector<std::thread> threads;
    const std::size_t each = (items + workers_ - 1) / workers_;
    for (std::size_t worker = 0; worker < workers_; ++worker) {
      const std::size_t first = std::min(items, worker * each);
      threads.emplace_back([&f, worker, first, end = std::min(items, first + each)] { f(worker, first, end); });
    }
    for (std::thread& thread : threads) thread.join();
  }

  std::size_t workers_;
};

}  // namespace

int main(int argc, char** argv) { return bench::parallel_main<Threads>(argc, argv); }
