// What waiting costs: --processes processes blocked in get() of one queue for --seconds seconds.  Prints the share of one
// core that they use together, in user and system time; what the machine does meanwhile makes no difference.
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <multiprocessing/process.hpp>
#include <multiprocessing/queue.hpp>

#include "harness/arguments.hpp"

namespace {

namespace mp = multiprocessing;

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// Waits in get() for the whole time; what it used by then is its answer.
void wait_in_get(const mp::Queue<int>& idle, const mp::Queue<int>& ready, const mp::Queue<double>& used) {
  ready.put(1);
  static_cast<void>(idle.try_get());  // from here on everything is mapped and warm
  const double before = cpu_seconds();
  static_cast<void>(idle.get());
  used.put(cpu_seconds() - before);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments{argc, argv};
  const std::size_t processes = arguments.number("processes", 100);
  const std::size_t seconds = arguments.number("seconds", 60);
  const mp::Queue<int> idle;
  const mp::Queue<int> ready;
  const mp::Queue<double> used;
  std::list<mp::Process> team;
  for (std::size_t i = 0; i < processes; ++i) team.emplace_back(wait_in_get, idle, ready, used).start();
  for (std::size_t i = 0; i < processes; ++i) static_cast<void>(ready.get());
  ::sleep(static_cast<unsigned>(seconds));
  for (std::size_t i = 0; i < processes; ++i) idle.put(1);
  double all = 0;
  for (std::size_t i = 0; i < processes; ++i) all += used.get();
  for (mp::Process& process : team) process.join();
  std::printf("%zu processes in get() for %zu s: %.3f s of processor time, %.3f %% of one core\n", processes, seconds, all,
              100 * all / static_cast<double>(seconds));
}
