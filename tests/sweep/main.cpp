#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "memory/family.hpp"
#include "sweep/stepped.hpp"
#include "sweep/sweep.hpp"

namespace multiprocessing::sweep {
namespace {

constexpr int skipped = 77;

constexpr std::array tables{lock_operations, event_operations, arena_operations, put_operations, get_operations};

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

Report run(const Operation& operation, std::uint64_t stride) {
  const auto start = std::chrono::steady_clock::now();
  Report report = sweep(operation, stride);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%-24s %6llu points %7llu deaths  %llu violations  %6llu instructions", operation.name,
              static_cast<unsigned long long>(report.points), static_cast<unsigned long long>(report.deaths),
              static_cast<unsigned long long>(report.violations), static_cast<unsigned long long>(report.length));
  if (report.commit >= 0) std::printf(", commits at %lld", static_cast<long long>(report.commit));
  if (report.strays > 0) std::printf(", %llu strays", static_cast<unsigned long long>(report.strays));
  std::printf("  %.1f s\n", took.count());
  for (const std::string& message : report.messages) std::printf("  %s\n", message.c_str());
  std::fflush(stdout);
  return report;
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
  static_cast<void>(memory::self());  // the arena is there before anything is counted
  Report sum;
  for (const auto& table : tables) {
    for (const Operation& operation : table()) {
      if (!is_wanted(operation.name, wanted)) continue;
      if (list) {
        std::puts(operation.name);
        ++sum.points;
        continue;
      }
      const Report report = run(operation, stride);
      sum.points += report.points;
      sum.deaths += report.deaths;
      sum.violations += report.violations;
    }
  }
  if (sum.points == 0) {
    std::fprintf(stderr, "there is no operation \"%s\" (see --list)\n", wanted.c_str());
    return 2;
  }
  if (!list) {
    std::printf("%llu points, %llu deaths, %llu violations\n", static_cast<unsigned long long>(sum.points),
                static_cast<unsigned long long>(sum.deaths), static_cast<unsigned long long>(sum.violations));
  }
  return sum.violations == 0 ? 0 : 1;
}

}  // namespace
}  // namespace multiprocessing::sweep

int main(int argc, char** argv) { return multiprocessing::sweep::main_of(argc, argv); }
