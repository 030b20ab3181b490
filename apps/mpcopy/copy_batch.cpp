#include "copy_batch.hpp"

#include <fcntl.h>

#include <csignal>
#include <memory>
#include <utility>

#include "base/fd.hpp"
#include "copy_file.hpp"
#include "counters.hpp"
#include "make_directory.hpp"
#include "text.hpp"

namespace mpcopy {
namespace {

using multiprocessing::base::Fd;

// The two directories that an item is copied between, open.
class OpenFolder {
 public:
  explicit OpenFolder(const Folder& folder)
      : source_(open_source(folder.source)), target_(open_target(folder.target)), folder_(folder) {}

  [[nodiscard]] Place source(const Item& item) const { return {source_.get(), item.name, source_path(folder_, item)}; }
  [[nodiscard]] Place target(const Item& item) const {
    return {target_.get(), target_name(folder_, item), target_path(folder_, item)};
  }

 private:
  static Fd open(const std::string& path) {
    // O_PATH: a directory that may be searched but not read is enough.
    return Fd(::open(path.empty() ? "." : path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  static Fd open_source(const std::string& path) {
    Fd fd = open(path);
    if (!fd) throw CopyError("cannot open directory", path);
    return fd;
  }
  static Fd open_target(const std::string& path) {
    Fd fd = open(path);
    if (fd) return fd;
    make_directories(path);
    fd = open(path);
    if (!fd) throw CopyError("cannot open directory", path);
    return fd;
  }

  Fd source_, target_;
  const Folder& folder_;
};

class BatchCopier {
 public:
  explicit BatchCopier(const Batch& batch) : batch_(batch), slot_(SharedCounters::inherited(batch.slot)) {}

  BatchResult run() {
    for (const Item& item : batch_.items) {
      try {
        copy(item);
      } catch (const CopyError& error) {
        result_.failures.emplace_back(error.what());
      }
    }
    return std::move(result_);
  }

 private:
  void copy(const Item& item) {
    enter(item.folder);
    const std::string temporary = temporary_name(batch_.run, item.serial);
    switch (item.kind) {
      case Kind::directory:
        return count({.directories = 1});
      case Kind::link:
        copy_link(folder_->source(item), folder_->target(item), temporary);
        return count({.files = 1});
      case Kind::file:
        copy_file(folder_->source(item), folder_->target(item), temporary,
                  [this](std::uint64_t bytes) { count({.bytes = bytes}); });
        return count({.files = 1});
    }
  }

  void count(const Amount& more) {
    result_.copied += more;
    if (slot_ != nullptr) slot_->add(more);
  }

  // Items of one folder stand together, so one open pair is enough.
  void enter(std::uint32_t folder) {
    if (folder_ && entered_ == folder) return;
    folder_ = std::make_unique<OpenFolder>(batch_.folders.at(folder));
    entered_ = folder;
  }

  const Batch& batch_;
  SharedCounters::Slot* slot_;
  BatchResult result_;
  std::unique_ptr<OpenFolder> folder_;
  std::uint32_t entered_ = 0;
};

}  // namespace

// A file beyond `ulimit -f` shall fail with EFBIG, not kill the worker.
void prepare_worker() { std::signal(SIGXFSZ, SIG_IGN); }

BatchResult copy_batch(const Batch& batch) { return BatchCopier(batch).run(); }

}  // namespace mpcopy
