// What a task of a Pool may ask about itself.
//
//   int solve(Problem problem) {
//     while (!mp::stop_requested()) if (problem.step()) return problem.answer();
//     return problem.best_so_far();                        // its .soft_timeout has passed
//   }
//
// Threads: any of the worker's.  Outside of a task: false.  Cost: a load.
#pragma once

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

// The task's soft_timeout (pool_options.hpp) has passed: it should come to its end.
[[nodiscard]] bool stop_requested() noexcept;

}  // namespace multiprocessing

#pragma GCC visibility pop
