// multiprocessing::Process, start and join of a function that does nothing.
#include <multiprocessing/process.hpp>

#include "process/workload.hpp"

int main(int argc, char** argv) {
  return bench::process_main(argc, argv, [] {
    multiprocessing::Process process{[] {}};
    process.start();
    process.join();
    bench::require(process.exitcode() == 0, "a child failed");
  });
}
