// mpcopy SRC… DST: copies files and folders with a pool of processes.
#include <CLI/CLI.hpp>
#include <clocale>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "copier.hpp"
#include "interrupt.hpp"
#include "options.hpp"
#include "roots.hpp"
#include "text.hpp"

namespace {

constexpr int kSuccess = 0;
constexpr int kFailure = 1;  // as `cp`: for a file that was not copied, and for a wrong command line

constexpr auto kDescription =
    "Copies files and folders with a pool of processes, keeping modes, owners, times and symbolic links.\n"
    "As with `cp -a`: where DST is a directory, SRC is copied into it; else SRC is copied to that name.\n"
    "A file appears under its name only when it is whole. What cannot be copied is reported at the end.";

void report(const std::string& message) { std::fprintf(stderr, "mpcopy: %s\n", message.c_str()); }

class Usage : public CLI::Formatter {
  std::string make_usage(const CLI::App*, std::string) const override { return "Usage: mpcopy [OPTIONS] SRC... DST\n"; }
};

// The exit status instead, where the command line ends the program: --help, --version, a mistake.
std::optional<int> parse(int argc, char** argv, mpcopy::Options& options) {
  CLI::App app{kDescription, "mpcopy"};
  app.formatter(std::make_shared<Usage>());
  // One list for both: CLI11 would give all of it to a SRC... and leave nothing for DST.
  std::vector<std::string> paths;
  app.add_option("paths", paths)->group("");
  app.add_option("-j,--processes", options.processes, "Number of worker processes (one per available core)")
      ->check(CLI::Range(1, 1024));
  app.add_flag("-q,--quiet", options.quiet, "Show no progress, only what could not be copied");
  app.set_version_flag("--version", "mpcopy " MPCOPY_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {
    return app.exit(stop) == 0 ? kSuccess : kFailure;
  }
  if (paths.size() < 2) {
    report(paths.empty() ? "missing SRC and DST" : "missing DST after " + mpcopy::shown(paths[0]));
    std::fputs("Try 'mpcopy --help' for more information.\n", stderr);
    return kFailure;
  }
  options.destination = std::move(paths.back());
  paths.pop_back();
  options.sources = std::move(paths);
  return std::nullopt;
}

struct Outcome {
  int signal;  // that interrupted it; 0: none
  bool all_copied;
};

Outcome copy(const mpcopy::Options& options) {
  mpcopy::Roots roots = mpcopy::resolve_roots(options.sources, options.destination);
  for (const std::string& refused : roots.failures) report(refused);
  if (roots.roots.empty()) return {0, false};
  const mpcopy::InterruptWatch watch;
  mpcopy::Copier copier(options, std::move(roots.roots));
  const int signal = copier.run();
  for (const std::string& failure : copier.failures()) report(failure);
  if (signal != 0) {
    report("interrupted: " + mpcopy::grouped(copier.copied().files) + " of " + mpcopy::grouped(copier.found().files) +
           " files were copied, each of them whole");
  }
  return {signal, roots.failures.empty() && copier.failures().empty()};
}

}  // namespace

int main(int argc, char** argv) try {
  std::setlocale(LC_CTYPE, "");  // which characters of a path can be shown
  mpcopy::Options options;
  if (const auto status = parse(argc, argv, options)) return *status;
  const auto [signal, all_copied] = copy(options);
  if (signal != 0) mpcopy::end_by(signal);
  return all_copied ? kSuccess : kFailure;
} catch (const std::exception& error) {
  report(error.what());
  return kFailure;
}
