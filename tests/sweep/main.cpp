#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "memory/family.hpp"
#include "os/os.hpp"
#include "support/shared.hpp"
#include "sweep/stepped.hpp"
#include "sweep/sweep.hpp"
#include "sync/spin.hpp"

namespace multiprocessing::sweep {
namespace {

constexpr int skipped = 77;

constexpr std::array tables{lock_operations, event_operations, arena_operations,
                            put_operations,  get_operations,   synchronize_operations,
                            shared_memory_operations};

// A child and its tracer on one core hand over to each other without an interrupt.
void sit_on_one_core() {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

// Symbols are bound now and not in the middle of an operation.
void bind_now(char** argv) {
  if (::getenv("LD_BIND_NOW") != nullptr) return;
  ::setenv("LD_BIND_NOW", "1", 0);
  ::execv("/proc/self/exe", argv);  // without /proc: late bindings are swept too
}

// All, `put`: each put.…, or one.
bool is_wanted(std::string_view name, std::string_view wanted) {
  return wanted == "all" || name == wanted || (name.starts_with(wanted) && name[wanted.size()] == '.');
}

// What the sweeps of all operations add up to, where the processes that make them can write it.
struct Sum {
  std::uint64_t points = 0;
  std::uint64_t deaths = 0;
  std::uint64_t violations = 0;
};

void run(const Operation& operation, std::uint64_t stride, Sum& sum) {
  const auto start = std::chrono::steady_clock::now();
  const Report report = sweep(operation, stride);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%-20s %6llu points %6llu deaths %3llu violations %6llu instructions", operation.name,
              static_cast<unsigned long long>(report.points), static_cast<unsigned long long>(report.deaths),
              static_cast<unsigned long long>(report.violations), static_cast<unsigned long long>(report.length));
  if (report.commit >= 0) std::printf(", commits at %lld", static_cast<long long>(report.commit));
  if (report.strays > 0) std::printf(", %llu strays", static_cast<unsigned long long>(report.strays));
  std::printf("  %.1f s\n", took.count());
  for (const std::string& message : report.messages) std::printf("  %s\n", message.c_str());
  std::fflush(stdout);
  sum.points += report.points;
  sum.deaths += report.deaths;
  sum.violations += report.violations;
}

// Spends what the adaptive spinning has to spend, down to nothing on the one core that we sit on: looks at a peer that
// does not run while we are stepped through are no points of the protocol.
void stop_spinning() {
  for (int wait = 0; wait < 16; ++wait) {
    for (sync::Spin spin; spin.again();) {
    }
  }
}

// In a process of its own: with an arena that nothing before it has filled, and a hang ends nothing but itself.
void run_apart(const Operation& operation, std::uint64_t stride, Sum& sum) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    os::set_parent_death_signal(SIGKILL);
    static_cast<void>(memory::self());  // the arena is there before anything is counted
    stop_spinning();
    run(operation, stride, sum);
    std::_Exit(0);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status == 0) return;
  ++sum.violations;
  std::printf("%-20s did not come to its end\n", operation.name);
  std::fflush(stdout);
}

int main_of(int argc, char** argv) {
  CLI::App app("Operations of the multiprocessing library, killed after every single instruction", "mp_sweep");
  std::string wanted = "all";
  std::uint64_t stride = 1;
  bool list = false;
  app.add_option("--operation", wanted, "put: all of put.…; put.link: that one")->capture_default_str();
  app.add_option("--stride", stride, "instructions from one point to the next")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_flag("--list", list, "only print the names of the operations");
  CLI11_PARSE(app, argc, argv);

  if (const std::string reason = Stepped::why_not(); !list && !reason.empty()) {
    std::printf("skipped: this process may not trace its children (%s); in a container: --cap-add=SYS_PTRACE\n",
                reason.c_str());
    return skipped;
  }
  bind_now(argv);
  sit_on_one_core();
  const testing::Shared<Sum> sum;
  int wanted_ones = 0;
  for (const auto& table : tables) {
    for (const Operation& operation : table()) {
      if (!is_wanted(operation.name, wanted)) continue;
      ++wanted_ones;
      if (list) {
        std::puts(operation.name);
      } else {
        run_apart(operation, stride, *sum);
      }
    }
  }
  if (wanted_ones == 0) {
    std::fprintf(stderr, "there is no operation \"%s\" (see --list)\n", wanted.c_str());
    return 2;
  }
  if (list) return 0;
  std::printf("%llu points, %llu deaths, %llu violations\n", static_cast<unsigned long long>(sum->points),
              static_cast<unsigned long long>(sum->deaths), static_cast<unsigned long long>(sum->violations));
  return sum->violations == 0 ? 0 : 1;
}

}  // namespace
}  // namespace multiprocessing::sweep

int main(int argc, char** argv) { return multiprocessing::sweep::main_of(argc, argv); }
