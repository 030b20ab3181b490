// The pool workloads: the cost of handing a task over and taking its result back, with tasks that do nothing.
//
// A contender is a class with the two calls below; making it makes its workers.
//
//   struct Contender {
//     Contender(std::size_t workers, const Placement&);     // caller at seat 0, worker i at seat i + 1
//     std::vector<int> map(const std::vector<int>& inputs); // test() on each, one task per input, results in order
//     int apply(int input);                                 // submits test(input) and waits
//   };
#pragma once

#include <cstddef>
#include <numeric>
#include <vector>

#include "harness/arguments.hpp"
#include "harness/placement.hpp"
#include "harness/sample.hpp"

namespace bench {

inline int test(int x) { return x + 100; }

// With --chunks, and where it can, as the contender thinks best.
template <class Contender>
std::vector<int> map(Contender& pool, const std::vector<int>& inputs, bool in_chunks) {
  if constexpr (requires { pool.map_in_chunks(inputs); }) {
    if (in_chunks) return pool.map_in_chunks(inputs);
  }
  return pool.map(inputs);
}

template <class Contender>
Sample measure_map(Contender& pool, std::size_t tasks, bool in_chunks) {
  std::vector<int> inputs(tasks);
  std::iota(inputs.begin(), inputs.end(), 0);
  std::vector<int> results;
  const Sample sample = timed(tasks, [&] { results = map(pool, inputs, in_chunks); });
  require(results.size() == tasks, "map lost results");
  for (std::size_t i = 0; i < tasks; ++i) require(results[i] == test(inputs[i]), "map mixed up results");
  return sample;
}

template <class Contender>
Sample measure_apply(Contender& pool, std::size_t tasks) {
  return timed(tasks, [&] {
    for (std::size_t i = 0; i < tasks; ++i) {
      const int input = static_cast<int>(i);
      require(pool.apply(input) == test(input), "apply returned another task's result");
    }
  });
}

// --apply: one task at a time; otherwise one map over all, a task for each call or, with --chunks, some together.
template <class Contender>
int pool_main(int argc, char** argv) {
  return report([&] {
    const Arguments arguments{argc, argv};
    const std::size_t tasks = arguments.number("items", 100'000);
    const Placement placement{arguments.flag("pinned")};
    placement.sit(0);
    Contender pool{arguments.number("workers", 2), placement};
    const bool in_chunks = arguments.flag("chunks");
    measure_map(pool, 100, in_chunks);  // every worker is up and has its memory
    return arguments.flag("apply") ? measure_apply(pool, tasks) : measure_map(pool, tasks, in_chunks);
  });
}

}  // namespace bench
