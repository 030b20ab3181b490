#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <set>
#include <string>

#include "memory/family.hpp"
#include "storm/storm.hpp"
#include "storm/surroundings.hpp"

namespace multiprocessing::storm {
namespace {

std::string note_of(const Report& report) {
  std::string note;
  const auto add = [&](long long count, const std::string& what) {
    note += (note.empty() ? "" : ", ") + std::to_string(count) + " " + what;
  };
  for (const auto& [what, count] : report.tallies) add(static_cast<long long>(count), what);
  const auto standstill = std::chrono::duration_cast<std::chrono::milliseconds>(report.longest_standstill);
  if (standstill.count() != 0) add(standstill.count(), "ms the longest standstill");
  return note;
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
              took.count(), note_of(report).c_str());
  for (const std::string& message : report.messages) std::printf("  %s\n", message.c_str());
  std::fflush(stdout);
  return report.violations == 0;
}

int main_of(int argc, char** argv) {
  CLI::App app("Structures of the multiprocessing library under random SIGKILLs", "mp_storm");
  Settings settings;
  std::string wanted = "all";
  std::set<std::string> names{"all"};
  std::string what = "all, or one of\n";
  for (const Target& target : targets()) {
    names.insert(target.name);
    what += std::string("  ") + target.name + ": " + target.what + "\n";
  }
  app.add_option("--kills", settings.kills, "kills per target")->capture_default_str();
  app.add_option("--seconds", settings.seconds, "time limit per target")->capture_default_str();
  app.add_option("--seed", settings.seed, "decides victims, gaps and data")->capture_default_str();
  app.add_option("--target", wanted, what)->capture_default_str()->check(CLI::IsMember(names));
  app.add_flag("--hold", settings.hold, "leave what hangs as it is, for a debugger");
  CLI11_PARSE(app, argc, argv);

  bool clean = true;
  static_cast<void>(memory::self());  // the arena is there before the first look at the surroundings
  for (const Target& target : targets()) {
    if (wanted == "all" || wanted == target.name) clean = run(target, settings) && clean;
  }
  return clean ? 0 : 1;
}

}  // namespace
}  // namespace multiprocessing::storm

int main(int argc, char** argv) { return multiprocessing::storm::main_of(argc, argv); }
