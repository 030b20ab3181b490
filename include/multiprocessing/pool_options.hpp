// What a Pool and its calls can be told.  All have defaults: name those that matter.
//
//   mp::Pool pool({.processes = 8, .initializer = mp::bind(load_model, path)});
//   pool.map(test, numbers, {.chunksize = 2});
#pragma once

#include <cstddef>
#include <functional>

namespace multiprocessing {

struct PoolOptions {
  int processes = 0;                       // 0: mp::cpu_count()
  std::function<void()> initializer = {};  // runs first in each worker: mp::bind(load_model, path), any closure
};

struct MapOptions {
  std::size_t chunksize = 0;  // items per task; 0: chosen for you (imap: 1)
};

}  // namespace multiprocessing
