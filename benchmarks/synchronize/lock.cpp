// multiprocessing::Lock.
#include <multiprocessing/synchronize.hpp>

#include "harness/child.hpp"
#include "synchronize/workload.hpp"

namespace {

struct Ours {
  using Child = bench::Child;
  struct End {
    multiprocessing::Lock mutex;
    void lock() const { mutex.acquire(); }
    void unlock() const { mutex.release(); }
  };
  End end() const { return {mutex}; }
  multiprocessing::Lock mutex;
};

}  // namespace

int main(int argc, char** argv) { return bench::lock_main<Ours>(argc, argv); }
