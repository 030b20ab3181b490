// How long a pool takes for what is no task.  An item is
//
//   --start     a pool of 8 workers made
//   --replace   from the SIGKILL of the only worker to the result of the next call
//   --late      how late a timeout of 20 ms comes: from the call to TaskTimeout, less 20 ms
//   --skew      a map of 2,000 tasks on two workers, one in a hundred of which takes 50 times as long as the others;
//               --ideal: half of what its tasks take together
//   --memory    a worker that waits for tasks, whose private memory is the figure: the median of them; --method: spawn,
//               forkserver, or fork when it is not given
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <multiprocessing/context.hpp>
#include <multiprocessing/pool.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/arguments.hpp"
#include "harness/sample.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;

int pid_of_worker() { return static_cast<int>(::getpid()); }
void sleep_for_ever() {
  for (;;) ::pause();
}

bench::Sample start(std::size_t items) {
  std::int64_t taken = 0;
  for (std::size_t i = 0; i < items; ++i) {
    const std::int64_t begin = bench::now_ns();
    mp::Pool pool(8);
    taken += bench::now_ns() - begin;
    pool.terminate();
  }
  return {items, taken};
}

bench::Sample replace(std::size_t items) {
  mp::Pool pool({.processes = 1, .max_restarts = ~std::size_t{0}});
  std::int64_t taken = 0;
  int worker = pool.apply(pid_of_worker);
  for (std::size_t i = 0; i < items; ++i) {
    const std::int64_t begin = bench::now_ns();
    ::kill(worker, SIGKILL);
    for (const int dead = worker; worker == dead;) {
      try {
        worker = pool.apply(pid_of_worker);
      } catch (const mp::WorkerDied&) {  // it had begun the task
      }
    }
    taken += bench::now_ns() - begin;
  }
  return {items, taken};
}

bench::Sample late(std::size_t items) {
  constexpr auto limit = 20ms;
  mp::Pool pool(1);
  std::int64_t taken = 0;
  for (std::size_t i = 0; i < items; ++i) {
    const std::int64_t begin = bench::now_ns();
    try {
      pool.apply({.timeout = limit}, sleep_for_ever);
      throw std::runtime_error("it did not time out");
    } catch (const mp::TaskTimeout&) {
      taken += bench::now_ns() - begin - std::chrono::nanoseconds(limit).count();
    }
  }
  return {items, taken};
}

// By the processor's clock of the thread: what others take of the core does not count.
int work(int us) {
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1'000'000'000L + time.tv_nsec;
  };
  for (const long end = now() + us * 1'000L; now() < end;) {
  }
  return us;
}

bench::Sample skew(std::size_t items, bool ideal) {
  std::vector<int> times;
  std::int64_t total_us = 0;
  for (int i = 0; i < 2'000; ++i) {
    times.push_back(i % 100 == 50 ? 5'000 : 100);
    total_us += times.back();
  }
  if (ideal) return {items, static_cast<std::int64_t>(items) * total_us * 1'000 / 2};
  mp::Pool pool(2);
  pool.map(work, std::vector<int>(10, 100));
  return bench::timed(items, [&] {
    for (std::size_t i = 0; i < items; ++i) bench::require(pool.map(work, times) == times, "map mixed up results");
  });
}

std::int64_t private_kib(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::int64_t total = 0;
  int found = 0;
  for (std::string word; in >> word;) {
    std::int64_t kib = 0;
    if ((word == "Private_Clean:" || word == "Private_Dirty:") && in >> kib) total += kib, ++found;
  }
  bench::require(found == 2, "the kernel does not tell how much memory a process has");
  return total;
}

bench::Sample memory(std::size_t workers, mp::StartMethod method) {
  mp::Pool pool = mp::get_context(method).pool(static_cast<int>(workers));
  // Nobody is idle who has not worked: every worker has its share of these.
  pool.map(work, std::vector<int>(workers * 10, 1'000), {.chunksize = 1});
  std::vector<std::int64_t> each;
  for (const auto& worker : pool.stats().workers) each.push_back(private_kib(worker.pid));
  bench::require(each.size() == workers, "a worker is missing");
  std::nth_element(each.begin(), each.begin() + each.size() / 2, each.end());
  return {.items = 1, .kib = each[each.size() / 2]};
}

mp::StartMethod method_of(const bench::Arguments& arguments) {
  for (const auto method : mp::get_all_start_methods()) {
    if (arguments.word("method") == mp::name_of(method)) return method;
  }
  return mp::StartMethod::fork;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::report([&] {
    const bench::Arguments arguments{argc, argv};
    const std::size_t items = arguments.number("items", 10);
    if (arguments.flag("start")) return start(items);
    if (arguments.flag("replace")) return replace(items);
    if (arguments.flag("late")) return late(items);
    if (arguments.flag("memory")) return memory(items, method_of(arguments));
    return skew(items, arguments.flag("ideal"));
  });
}
