// Ten tasks for three workers: as one is done, its worker takes the next.
#include <unistd.h>

#include <chrono>
#include <iomanip>
#include <iostream>
#include <multiprocessing/pool.hpp>
#include <set>
#include <thread>
#include <vector>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

struct Done {
  int task;
  pid_t worker;
  double seconds;
};

Done work(int task) {
  const auto begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for((task % 4 + 1) * 10ms);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return {task, ::getpid(), took.count()};
}

int main() {
  mp::Pool pool(3);
  std::vector<mp::AsyncResult<Done>> results;
  for (int task = 0; task < 10; ++task) results.push_back(pool.apply_async(work, task));
  pool.close();
  pool.join();

  std::cerr << std::fixed << std::setprecision(2);
  std::set<pid_t> workers;
  for (const auto& result : results) {
    const Done done = result.get();
    workers.insert(done.worker);
    std::cerr << "task " << done.task << " took " << done.seconds << " s in process " << done.worker << '\n';
  }
  std::cout << results.size() << " tasks done by " << (workers.size() <= 3 ? "at most 3" : "too many") << " workers"
            << std::endl;
}
