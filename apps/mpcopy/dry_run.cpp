#include "dry_run.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <optional>
#include <utility>

#include "base/fd.hpp"
#include "batcher.hpp"
#include "interrupt.hpp"
#include "json_lines.hpp"
#include "open_path.hpp"
#include "scan.hpp"
#include "target_check.hpp"
#include "text.hpp"

namespace mpcopy {
namespace {

using multiprocessing::base::Fd;

class DryRun {
 public:
  DryRun(const Options& options, std::vector<Root> roots, std::vector<std::string>& failures)
      : options_(options),
        failures_(failures),
        scanner_(std::move(roots), batcher_, failures, {.exclude = Exclude(options.exclude), .only_looks = true}) {}

  void run() {
    while (!scanner_.is_done() && InterruptWatch::signal() == 0) {
      scanner_.step();
      while (auto batch = batcher_.next_small()) show(*batch);
      while (auto batch = batcher_.next_large()) show(*batch);
    }
    while (auto batch = batcher_.next_links()) show(*batch);
    if (options_.display == Display::quiet || options_.display == Display::json) return;
    std::fflush(stdout);
    std::fprintf(stderr, "mpcopy: would copy %s files, and make %s directories\n", grouped(files_).c_str(),
                 grouped(directories_).c_str());
  }

 private:
  void show(const Batch& batch) {
    for (const Item& item : batch.items) {
      try {
        show(batch.folders[item.folder], item);
      } catch (const CopyError& error) {
        failures_.emplace_back(error.what());
      }
    }
  }

  void show(const Folder& folder, const Item& item) {
    const Fd target = open_directory(folder.target, For::holding);
    if (item.kind == Kind::directory) {
      if (target) return;
      ++directories_;
      return say(folder.source, folder.target);
    }
    const std::string path = source_path(folder, item);
    if (target) {
      const Fd source = open_directory(folder.source, For::holding);
      struct stat info {};
      if (::fstatat(source.get(), item.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        throw CopyError("cannot stat", path);
      }
      const Place place{target.get(), target_name(folder, item), target_path(folder, item)};
      if (check_target(info, path, place, options_.rules) == Verdict::leave) return;
    }
    ++files_;
    say(path, target_path(folder, item));
  }

  void say(const std::string& source, const std::string& target) const {
    if (options_.display == Display::json) return print_would_copy(source, target);
    if (options_.display != Display::quiet) std::printf("%s -> %s\n", shown(source).c_str(), shown(target).c_str());
  }

  const Options& options_;
  std::vector<std::string>& failures_;
  Batcher batcher_;
  Scanner scanner_;
  std::uint64_t files_ = 0, directories_ = 0;
};

}  // namespace

void show_what_would_be_copied(const Options& options, std::vector<Root> roots, std::vector<std::string>& failures) {
  DryRun(options, std::move(roots), failures).run();
}

}  // namespace mpcopy
