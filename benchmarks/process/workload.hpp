// The process workload: start a child that does nothing and wait for its end, one after the other.
//
// Pinned, parent and child share a core: a child starts where its parent is allowed to run.
#pragma once

#include <cstddef>

#include "harness/arguments.hpp"
#include "harness/placement.hpp"
#include "harness/sample.hpp"

namespace bench {

// `start_and_join()` runs one child and throws unless it ended with exit code 0.
template <class StartAndJoin>
int process_main(int argc, char** argv, StartAndJoin start_and_join) {
  return report([&] {
    const Arguments arguments{argc, argv};
    const std::size_t children = arguments.number("items", 1000);
    Placement{arguments.flag("pinned")}.sit(0);
    start_and_join();  // whatever the first child has to set up
    return timed(children, [&] {
      for (std::size_t i = 0; i < children; ++i) start_and_join();
    });
  });
}

}  // namespace bench
