#include "copy_batch.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <iterator>
#include <memory>
#include <utility>

#include "copy_file.hpp"
#include "copy_node.hpp"
#include "counters.hpp"
#include "open_folder.hpp"
#include "temporary_name.hpp"
#include "text.hpp"
#include "throttle.hpp"

namespace mpcopy {
namespace {

class BatchCopier {
 public:
  explicit BatchCopier(const Batch& batch)
      : batch_(batch), slot_(SharedCounters::inherited(batch.slot)), throttle_(Throttle::inherited()) {
    observer_.on_moved = [this](std::uint64_t bytes) {
      count({.bytes = bytes});
      if (throttle_ != nullptr) throttle_->pay(bytes);
    };
    observer_.on_passed = [this](std::uint64_t bytes) { count({.bytes = bytes}); };
  }

  BatchResult run() {
    if (slot_ != nullptr) slot_->begin(::getpid());
    for (std::uint32_t at = 0; at < batch_.items.size(); ++at) {
      if (slot_ != nullptr) slot_->begin_item(at);
      try {
        copy(batch_.items[at]);
      } catch (const CopyError& error) {
        result_.failures.emplace_back(error.what());
        result_.failed.push_back(at);
      }
    }
    if (slot_ != nullptr) slot_->end();
    auto& complaints = observer_.complaints;
    result_.failures.insert(result_.failures.end(), std::make_move_iterator(complaints.begin()),
                            std::make_move_iterator(complaints.end()));
    return std::move(result_);
  }

 private:
  void copy(const Item& item) {
    enter(item.folder);
    switch (item.kind) {
      case Kind::directory:
        return count({.directories = 1});
      case Kind::file:
        return count_file(
            copy_file(folder_->source(item), folder_->target(item), temporary(item), batch_.rules, observer_));
      case Kind::link:
      case Kind::special:
        return count_file(
            copy_node(folder_->source(item), folder_->target(item), temporary(item), batch_.rules, observer_));
      case Kind::hard_link:
        return copy_further_name(item);
      case Kind::piece:
        return copy_piece(folder_->source(item), folder_->temporary(item, item.other), item.from, item.bytes,
                          batch_.rules, observer_);
    }
  }

  void copy_further_name(Item item) {
    const Place source = folder_->source(item);
    const Place target = folder_->target(item);
    struct stat info {};
    if (::fstatat(source.folder, source.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      throw CopyError("cannot stat", source.path);
    }
    if (item.other.empty()) {  // it is the first name now
      item.kind = S_ISREG(info.st_mode) ? Kind::file : Kind::special;
      return copy(item);
    }
    Rules rules = batch_.rules;
    rules.resume = false;  // a complete file of its own is no further name
    if (check_target(info, source.path, target, rules) == Verdict::leave) return count_file(Outcome::left);
    copy_hard_link(item.other, target, temporary(item));
    count_file(Outcome::copied);
  }

  [[nodiscard]] std::string temporary(const Item& item) const { return temporary_name(batch_.run, item.serial); }

  void count_file(Outcome outcome) { count({.files = 1, .skipped = outcome == Outcome::left ? 1U : 0U}); }

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
  Throttle* throttle_;
  Observer observer_;
  BatchResult result_;
  std::unique_ptr<OpenFolder> folder_;
  std::uint32_t entered_ = 0;
};

}  // namespace

void prepare_worker() {
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond `ulimit -f` shall fail with EFBIG, not kill the worker
  ::umask(0);                     // modes are those of the sources, and nothing else
}

BatchResult copy_batch(const Batch& batch) { return BatchCopier(batch).run(); }

}  // namespace mpcopy
