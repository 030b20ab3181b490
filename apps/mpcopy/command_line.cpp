#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text.hpp"

namespace mpcopy {
namespace {

constexpr auto kDescription =
    "Copies files and folders with a pool of processes, keeping modes, owners, times, links, hard links,\n"
    "extended attributes, access control lists and holes; FIFOs, sockets and devices are made anew.\n"
    "As with `cp -a`: where DST is a directory, SRC is copied into it; else SRC is copied to that name.\n"
    "A file appears under its name only when it is whole. What cannot be copied is reported at the end.";

class Usage : public CLI::Formatter {
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: mpcopy [OPTION]... [-T] SRC DST\n"
           "  or:  mpcopy [OPTION]... SRC... DIRECTORY\n"
           "  or:  mpcopy [OPTION]... -t DIRECTORY SRC...\n";
  }
  // The name of the value, without what CLI11 tells of how it is checked.
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string type = option->get_type_name();
    return type.empty() || option->get_expected_max() == 0 ? "" : " " + type.substr(0, type.find(':'));
  }
};

// What CLI11 fills and Options has in another form.
struct Flags {
  std::vector<std::string>
      paths;  // one list for both: CLI11 would give all of it to a SRC... and leave nothing for DST
  std::string directory;
  bool archive = false, no_directory = false, quiet = false, json = false, bars = false;
};

void add_what_to_copy(CLI::App& app, Options& options, Flags& flags) {
  app.add_option("paths", flags.paths)->group("");
  app.add_flag("-a,--archive", flags.archive, "Keep everything that can be kept: what mpcopy always does");
  app.add_option("-t,--target-directory", flags.directory, "Copy every SRC into DIRECTORY")->type_name("DIRECTORY");
  app.add_flag("-T,--no-target-directory", flags.no_directory, "DST is the copy's name, even where it is a directory");
  app.add_option("--exclude", options.exclude,
                 "Leave out names that match; paths below SRC, where GLOB has a slash; directories, where it\n"
                 "ends with one")
      ->type_name("GLOB")
      ->allow_extra_args(false);  // one for each --exclude; else it would take SRC and DST as more
  app.add_flag("-u,--update", options.rules.update, "Leave what is there and not older than its source");
  app.add_flag("--resume", options.rules.resume,
               "Go on with a copy that was interrupted: leave what is complete (same size and time), continue\n"
               "large files, remove what was left over");
  app.add_flag("-n,--dry-run", options.dry_run, "Say what would be copied, and copy nothing");
}

void add_how_to_copy(CLI::App& app, Options& options, Flags& flags) {
  const std::map<std::string, Reflink> reflink{
      {"auto", Reflink::automatic}, {"always", Reflink::always}, {"never", Reflink::never}};
  app.add_option("--reflink", options.rules.reflink,
                 "Share blocks with the source: auto (where that is possible), always, never")
      ->transform(CLI::CheckedTransformer(reflink))
      ->type_name("WHEN");
  app.add_flag("--verify", options.rules.verify, "Read every copy again, from the disk, and compare checksums");
  app.add_option("--bwlimit", options.bytes_per_second,
                 "Copy no more than RATE bytes a second; K, M, G are powers of 1024")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::PositiveNumber)
      ->type_name("RATE");
  app.add_option("--piece-size", options.rules.piece_bytes,
                 "Copy larger files in pieces of SIZE, by several processes (64M)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::PositiveNumber)
      ->type_name("SIZE");
  app.add_option("-j,--processes", options.processes, "Number of worker processes (one per available core)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  app.add_flag("-q,--quiet", flags.quiet, "Show no progress, only what could not be copied");
  app.add_flag("--bars", flags.bars, "Show a line for each process, too");
  app.add_flag("--json", flags.json, "Tell programs of the progress: JSON objects, one a line, on standard output");
}

int wrong(const std::string& message) {
  report(message);
  std::fputs("Try 'mpcopy --help' for more information.\n", stderr);
  return kFailure;
}

// A status where the operands make no sense.
std::optional<int> take(Flags flags, Options& options) {
  if (flags.quiet) options.display = Display::quiet;
  if (flags.bars) options.display = Display::bars;
  if (flags.json) options.display = Display::json;
  if (options.rules.reflink == Reflink::always && options.rules.verify) {
    return wrong("--verify has nothing to compare where blocks are shared (--reflink=always)");
  }
  const bool named = !flags.directory.empty();
  if (named && flags.no_directory) return wrong("cannot combine -t and -T");
  if (flags.paths.empty()) return wrong(named ? "missing SRC" : "missing SRC and DST");
  if (named) {
    options.into = Into::always;
    options.destination = std::move(flags.directory);
  } else {
    if (flags.paths.size() < 2) return wrong("missing DST after " + shown(flags.paths[0]));
    options.into = flags.no_directory ? Into::never : Into::if_directory;
    options.destination = std::move(flags.paths.back());
    flags.paths.pop_back();
  }
  options.sources = std::move(flags.paths);
  return std::nullopt;
}

}  // namespace

void report(const std::string& message) { std::fprintf(stderr, "mpcopy: %s\n", message.c_str()); }

std::optional<int> parse_command_line(int argc, char** argv, Options& options) {
  CLI::App app{kDescription, "mpcopy"};
  app.formatter(std::make_shared<Usage>());
  Flags flags;
  add_what_to_copy(app, options, flags);
  add_how_to_copy(app, options, flags);
  app.set_version_flag("--version", "mpcopy " MPCOPY_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& stop) {
    return app.exit(stop) == 0 ? kSuccess : kFailure;
  } catch (const CLI::ParseError& mistake) {
    return wrong(mistake.what());
  }
  return take(std::move(flags), options);
}

}  // namespace mpcopy
