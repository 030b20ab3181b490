// A run with a death in it, to be looked at:
//   MULTIPROCESSING_TRACE=run.json timeline
// and run.json in ui.perfetto.dev, or as a picture by `scripts/draw-trace run.json > run.svg`.
#include <chrono>
#include <iostream>
#include <multiprocessing/pool.hpp>
#include <thread>
#include <vector>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

// Some pages take longer than others, and one takes its worker along.
int render(int page) {
  std::this_thread::sleep_for((page * 7 % 5 + 2) * 4ms);
  if (page == 8) *static_cast<volatile int*>(nullptr) = 0;
  return page * page;
}

int main() {
  mp::Pool pool({.processes = 3, .name = "render"});
  std::vector<mp::AsyncResult<int>> pages;
  for (int page = 1; page <= 20; ++page) pages.push_back(pool.apply_async(render, page));
  int good = 0;
  for (const mp::AsyncResult<int>& page : pages) {
    try {
      page.get();
      ++good;
    } catch (const mp::WorkerDied& death) {
      std::cout << "one page is lost: its worker died of signal " << death.signal().value_or(0) << std::endl;
    }
  }
  std::cout << good << " of " << pages.size() << " pages are good" << std::endl;
}
