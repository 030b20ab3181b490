// multiprocessing::Pool.
#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <multiprocessing/pool.hpp>
#include <new>
#include <stdexcept>
#include <vector>

#include "pool/workload.hpp"

namespace {

namespace mp = multiprocessing;

// Deals out numbers 0, 1, 2 … to the workers, which are processes: shared memory of the benchmark's own.
class Counter {
 public:
  Counter() {
    void* memory = ::mmap(nullptr, sizeof *next_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    next_ = new (memory) std::atomic<std::size_t>{0};
  }
  ~Counter() { ::munmap(next_, sizeof *next_); }
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;
  std::size_t take() { return next_->fetch_add(1); }

 private:
  std::atomic<std::size_t>* next_;
};

class Workers {
 public:
  Workers(std::size_t workers, const bench::Placement& placement)
      : pool_{{.processes = static_cast<int>(workers),
               .initializer = [this, &placement] { placement.sit(seats_.take() + 1); }}} {}

  std::vector<int> map(const std::vector<int>& inputs) { return pool_.map(bench::test, inputs, {.chunksize = 1}); }
  std::vector<int> map_in_chunks(const std::vector<int>& inputs) { return pool_.map(bench::test, inputs); }
  int apply(int input) { return pool_.apply(bench::test, input); }

 private:
  Counter seats_;
  mp::Pool pool_;
};

}  // namespace

int main(int argc, char** argv) { return bench::pool_main<Workers>(argc, argv); }
