// OpenMP: its loop for the sum, and its best schedule for items whose times differ.
#include <cstddef>
#include <span>

#include "parallel/workload.hpp"

namespace {

class OpenMp {
 public:
  OpenMp(std::size_t workers, const bench::Placement&) : workers_(static_cast<int>(workers)) {}

  double sum(std::span<const double> numbers) const {
    double sum = 0;
#pragma omp parallel for num_threads(workers_) reduction(+ : sum)
    for (std::size_t i = 0; i < numbers.size(); ++i) sum += numbers[i];
    return sum;
  }
  template <class F>
  void for_each(std::size_t items, const F& f) const {
#pragma omp parallel for num_threads(workers_) schedule(dynamic, 1)
    for (std::size_t i = 0; i < items; ++i) f(i);
  }

 private:
  int workers_;
};

}  // namespace

int main(int argc, char** argv) { return bench::parallel_main<OpenMp>(argc, argv); }
