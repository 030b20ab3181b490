#include <dirent.h>
#include <sys/wait.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <set>
#include <string>

#include "memory/family.hpp"
#include "multiprocessing/detail/ref.hpp"
#include "storm/storm.hpp"
#include "support/arena_check.hpp"

namespace multiprocessing::storm {
namespace {

constexpr std::array targets{
    Target{"lock", lock_storm},
    Target{"synchronize", synchronize_storm},
    Target{"arena", arena_storm},
    Target{"queue", queue_storm},
    Target{"pool", pool_storm},
};

std::set<std::string> names_in(const char* path) {
  std::set<std::string> names;
  DIR* folder = ::opendir(path);
  if (folder == nullptr) return names;
  while (const dirent* entry = ::readdir(folder)) names.insert(entry->d_name);
  ::closedir(folder);
  return names;
}

// What must be the same after a storm as before it.
struct Surroundings {
  memory::Stats stats = memory::stats();
  std::uint64_t owned_bytes = 0;
  std::set<std::string> descriptors = names_in("/proc/self/fd");
  std::set<std::string> shm = names_in("/dev/shm");

  explicit Surroundings(Report& report) {
    testing::ArenaCheck check(memory::Arena::get());
    const std::string damage = check.run();
    if (!damage.empty()) report.violation("the arena: " + damage);
    owned_bytes = check.owned_bytes();
  }
};

void compare(const Surroundings& before, Report& report) {
  const Surroundings after(report);
  const auto expect_same = [&](const char* what, std::uint64_t was, std::uint64_t is) {
    if (was != is)
      report.violation(std::string(what) + ": " + std::to_string(was) + " before, " + std::to_string(is) + " after");
  };
  expect_same("members", before.stats.members, after.stats.members);
  expect_same("objects", before.stats.objects, after.stats.objects);
  expect_same("bytes of heap", before.owned_bytes, after.owned_bytes);
  expect_same("descriptors", before.descriptors.size(), after.descriptors.size());
  if (before.shm != after.shm) report.violation("/dev/shm has changed");
  if (::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD) report.violation("there are children left");
}

bool run(const Target& target, const Settings& settings) {
  Report report;
  const auto start = std::chrono::steady_clock::now();
  const Surroundings before(report);
  target.run(settings, report);
  compare(before, report);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%-11s %8llu kills  %12llu operations  %llu violations  seed %llu  %.1f s  %s\n", target.name,
              static_cast<unsigned long long>(report.kills), static_cast<unsigned long long>(report.operations),
              static_cast<unsigned long long>(report.violations), static_cast<unsigned long long>(settings.seed),
              took.count(), report.note.c_str());
  for (const std::string& message : report.messages) std::printf("  %s\n", message.c_str());
  std::fflush(stdout);
  return report.violations == 0;
}

int main_of(int argc, char** argv) {
  CLI::App app("Structures of the multiprocessing library under random SIGKILLs", "mp_storm");
  Settings settings;
  std::string wanted = "all";
  std::set<std::string> names{"all"};
  for (const Target& target : targets) names.insert(target.name);
  app.add_option("--kills", settings.kills, "kills per target")->capture_default_str();
  app.add_option("--seconds", settings.seconds, "time limit per target")->capture_default_str();
  app.add_option("--seed", settings.seed, "decides victims, gaps and data")->capture_default_str();
  app.add_option("--target", wanted, "which one")->capture_default_str()->check(CLI::IsMember(names));
  CLI11_PARSE(app, argc, argv);

  bool clean = true;
  static_cast<void>(memory::self());  // the arena is there before the first look at the surroundings
  for (const Target& target : targets) {
    if (wanted == "all" || wanted == target.name) clean = run(target, settings) && clean;
  }
  return clean ? 0 : 1;
}

}  // namespace
}  // namespace multiprocessing::storm

int main(int argc, char** argv) { return multiprocessing::storm::main_of(argc, argv); }
