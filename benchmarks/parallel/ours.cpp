// multiprocessing::parallel_reduce and parallel_for_each.
#include <cstddef>
#include <functional>
#include <multiprocessing/parallel.hpp>
#include <ranges>
#include <span>

#include "parallel/workload.hpp"

namespace {

namespace mp = multiprocessing;

// Children are made by the call, and sit where the scheduler puts them.
class Children {
 public:
  Children(std::size_t workers, const bench::Placement&) : options_{.processes = static_cast<int>(workers)} {}

  double sum(std::span<const double> numbers) const {
    return mp::parallel_reduce(numbers, 0.0, std::plus<>(), options_);
  }
  template <class F>
  void for_each(std::size_t items, const F& f) const {
    mp::parallel_for_each(f, std::views::iota(std::size_t{0}, items), options_);
  }

 private:
  mp::ParallelOptions options_;
};

}  // namespace

int main(int argc, char** argv) { return bench::parallel_main<Children>(argc, argv); }
