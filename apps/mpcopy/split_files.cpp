#include "split_files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "attributes.hpp"
#include "base/fd.hpp"
#include "copy_file.hpp"
#include "open_folder.hpp"
#include "temporary_name.hpp"
#include "text.hpp"

namespace mpcopy {

using multiprocessing::base::Fd;

// A large file on its way.  On destruction its temporary file stays, for --resume; unless there is nothing in it.
class SplitFiles::File {
 public:
  // Throws CopyError.
  File(Batch batch, const Rules& rules)
      : batch_(std::move(batch)),
        rules_(rules),
        folder_(batch_.folders.at(0)),
        source_(folder_.source(item())),
        target_(folder_.target(item())),
        in_(::openat(source_.folder, source_.name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)) {
    if (!in_) throw CopyError("cannot open", source_.path);
    if (::fstat(in_.get(), &info_) != 0) throw CopyError("cannot stat", source_.path);
    if (!S_ISREG(info_.st_mode)) throw CopyError(shown(source_.path) + " is no longer a regular file");
    is_left_ = check_target(info_, source_.path, target_, rules) == Verdict::leave;
    if (!is_left_) make_temporary();
  }
  ~File() {
    struct stat there {};
    if (out_ && ::fstat(out_.get(), &there) == 0 && there.st_blocks == 0) remove();
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  [[nodiscard]] const Item& item() const { return batch_.items.at(0); }
  [[nodiscard]] std::uint64_t size() const { return static_cast<std::uint64_t>(info_.st_size); }
  [[nodiscard]] bool is_left() const { return is_left_; }
  [[nodiscard]] bool is_whole() const { return is_left_ || is_shared_; }  // without any piece
  [[nodiscard]] bool has_piece() const { return !failed_ && next_ < size(); }
  [[nodiscard]] bool is_over() const { return !has_piece() && under_way_ == 0; }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] int under_way() const { return under_way_; }

  Batch next_piece() {
    Batch piece{.rules = rules_, .folders = batch_.folders, .items = batch_.items};
    Item& item = piece.items[0];
    item.kind = Kind::piece;
    item.deaths = 0;
    item.from = next_;
    item.bytes = std::min(rules_.piece_bytes, size() - next_);
    item.other = name_;
    next_ += item.bytes;
    ++under_way_;
    return piece;
  }
  void close_piece(bool is_copied) {
    --under_way_;
    failed_ = failed_ || !is_copied;
  }

  // All pieces are there.  Throws CopyError.
  void become_target(std::vector<std::string>& complaints) {
    struct stat made {};
    if (::fstat(out_.get(), &made) != 0) throw CopyError("cannot stat", target_.path);
    const Attributes attributes(info_, read_xattrs({in_.get()}));
    if (target_.gives_acls) drop_inherited_acls({out_.get()}, attributes.xattrs);
    set_attributes(out_.get(), attributes, made, target_.path, complaints);
    if (::renameat(target_.folder, name_.c_str(), target_.folder, target_.name.c_str()) != 0) {
      throw CopyError("cannot create", target_.path);
    }
    out_.reset();
    Observer observer;
    complain_of_change(in_.get(), info_, source_.path, observer);
    complaints.insert(complaints.end(), observer.complaints.begin(), observer.complaints.end());
  }
  void remove() {
    ::unlinkat(target_.folder, name_.c_str(), 0);
    out_.reset();
  }

 private:
  void make_temporary() {
    name_ = partial_name(target_.name, info_);
    out_ = Fd(::openat(target_.folder, name_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!out_) throw CopyError("cannot create", target_.path);
    if (::flock(out_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      throw CopyError(shown(target_.path) + " is being copied by another mpcopy");
    }
    try {
      prepare_temporary();
    } catch (...) {
      remove();
      throw;
    }
  }
  // Its size first: what is not written yet is a hole.
  void prepare_temporary() {
    if (!rules_.resume && ::ftruncate(out_.get(), 0) != 0) throw CopyError("cannot write", target_.path);
    struct stat made {};
    if (::fstat(out_.get(), &made) != 0) throw CopyError("cannot stat", target_.path);
    is_shared_ = made.st_size == 0 && !rules_.verify &&
                 share_blocks(in_.get(), out_.get(), info_, made, source_, target_, rules_.reflink);
    if (!is_shared_ && ::ftruncate(out_.get(), info_.st_size) != 0) throw CopyError("cannot write", target_.path);
  }

  const Batch batch_;
  const Rules& rules_;
  OpenFolder folder_;
  Place source_, target_;
  Fd in_, out_;
  struct stat info_ {};
  std::string name_;  // of the temporary file
  bool is_left_ = false, is_shared_ = false, failed_ = false;
  std::uint64_t next_ = 0;  // where the next piece begins
  int under_way_ = 0;
};

SplitFiles::SplitFiles(const Rules& rules, std::vector<std::string>& failures) : rules_(rules), failures_(failures) {}

SplitFiles::~SplitFiles() = default;

bool SplitFiles::wants(const Batch& batch) const {
  const Item& item = batch.items.at(0);
  return batch.items.size() == 1 && item.kind == Kind::file && item.bytes > rules_.piece_bytes;
}

std::optional<BatchResult> SplitFiles::open(const Batch& batch) {
  try {
    files_.emplace_back(batch, rules_);
  } catch (const CopyError& error) {
    failures_.emplace_back(error.what());
    return BatchResult{.failed = {0}};
  }
  const auto file = std::prev(files_.end());
  if (!file->is_whole() && file->has_piece()) return std::nullopt;
  auto result = finish(file);
  if (result->failed.empty()) result->copied.bytes = batch.items[0].bytes;
  return result;
}

bool SplitFiles::has_piece() const {
  return std::any_of(files_.begin(), files_.end(), [](const File& file) { return file.has_piece(); });
}

std::optional<Batch> SplitFiles::next_piece() {
  File* best = nullptr;
  for (File& file : files_) {
    if (file.has_piece() && (best == nullptr || file.under_way() < best->under_way())) best = &file;
  }
  if (best == nullptr) return std::nullopt;
  return best->next_piece();
}

std::optional<BatchResult> SplitFiles::close_piece(const Item& piece, bool is_copied) {
  const auto file =
      std::find_if(files_.begin(), files_.end(), [&](const File& one) { return one.item().serial == piece.serial; });
  if (file == files_.end()) return std::nullopt;
  file->close_piece(is_copied);
  if (!file->is_over()) return std::nullopt;
  return finish(file);
}

std::optional<BatchResult> SplitFiles::finish(std::list<File>::iterator file) {
  BatchResult result;
  try {
    if (file->failed()) {
      file->remove();
      result.failed = {0};
    } else {
      if (!file->is_left()) file->become_target(failures_);
      result.copied = {.files = 1, .skipped = file->is_left() ? 1U : 0U};
    }
  } catch (const CopyError& error) {
    file->remove();
    failures_.emplace_back(error.what());
    result.failed = {0};
  }
  files_.erase(file);
  return result;
}

}  // namespace mpcopy
