// mpcopy SRC… DST: copies files and folders with a pool of processes.
#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "command_line.hpp"
#include "copier.hpp"
#include "dry_run.hpp"
#include "interrupt.hpp"
#include "json_lines.hpp"
#include "options.hpp"
#include "roots.hpp"
#include "text.hpp"

namespace {

using mpcopy::Display;
using mpcopy::report;

struct Outcome {
  int signal;  // that interrupted it; 0: none
  bool all_copied;
};

void report_all(const std::vector<std::string>& failures, const mpcopy::Options& options) {
  for (const std::string& failure : failures) {
    report(failure);
    if (options.display == Display::json) mpcopy::print_error(failure);
  }
}

void report_interruption(const mpcopy::Copier& copier) {
  const mpcopy::Amount copied = copier.copied();
  const mpcopy::Amount& found = copier.found();
  const std::string files = mpcopy::grouped(found.files) + (copier.found_all() ? "" : " or more");
  report("interrupted: " + mpcopy::grouped(copied.files) + " of " + files +
         " files were copied, each of them whole; the same command with --resume copies the other " +
         mpcopy::grouped(found.files - std::min(copied.files, found.files)) + (copier.found_all() ? "" : " or more"));
}

Outcome copy(const mpcopy::Options& options) {
  mpcopy::Roots roots = mpcopy::resolve_roots(options.sources, options.destination, options.into);
  report_all(roots.failures, options);
  if (roots.roots.empty()) return {0, false};
  const mpcopy::InterruptWatch watch;
  if (options.dry_run) {
    std::vector<std::string> failures;
    mpcopy::show_what_would_be_copied(options, std::move(roots.roots), failures);
    report_all(failures, options);
    return {mpcopy::InterruptWatch::signal(), roots.failures.empty() && failures.empty()};
  }
  mpcopy::Copier copier(options, std::move(roots.roots));
  const int signal = copier.run();
  report_all(copier.failures(), options);
  if (signal != 0) report_interruption(copier);
  return {signal, roots.failures.empty() && copier.failures().empty()};
}

}  // namespace

int main(int argc, char** argv) try {
  std::setlocale(LC_CTYPE, "");  // which characters of a path can be shown
  mpcopy::Options options;
  if (const auto status = mpcopy::parse_command_line(argc, argv, options)) return *status;
  // A program that reads no more shall not end a copy.
  if (options.display == Display::json) std::signal(SIGPIPE, SIG_IGN);
  const auto [signal, all_copied] = copy(options);
  const int status = all_copied ? mpcopy::kSuccess : mpcopy::kFailure;
  if (options.display == Display::json) mpcopy::print_end(signal != 0 ? 128 + signal : status, signal);
  if (signal != 0) mpcopy::end_by(signal);
  return status;
} catch (const std::exception& error) {
  report(error.what());
  return mpcopy::kFailure;
}
