// Large files, copied in pieces by several workers at once.
//
// A large file has one temporary file, which the workers fill range by range.  Its name is made of the target's and of
// the source's size and time (partial_name), so that what a killed mpcopy leaves is found by the next one:
//
//   died …                      what is there               what becomes of it
//   a worker, in a piece        a piece half written        the piece is copied again, by another
//   mpcopy, before rename       part of the temporary file  --resume: what is equal stays, the rest is written;
//                                                           else: written anew
//   after rename                the copy                    –
//
// Nothing is noted anywhere about which pieces are there: a power cut could make a lie of that.  --resume reads what
// there is, and believes what is equal to the source.
//
// Invariant: an open large file has pieces left to be handed out, or pieces under way; when the last of them has come
// back it is given its name, or removed.  Its temporary file is locked as long (flock), against another mpcopy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "job.hpp"

namespace mpcopy {

class SplitFiles {
 public:
  SplitFiles(const Rules& rules, std::vector<std::string>& failures);
  ~SplitFiles();
  SplitFiles(const SplitFiles&) = delete;
  SplitFiles& operator=(const SplitFiles&) = delete;

  // Is this task a file to be copied in pieces?
  [[nodiscard]] bool wants(const Batch& batch) const;
  // Such a task.  An empty result: its pieces are to be had now.  Else it is done with already.
  std::optional<BatchResult> open(const Batch& batch);

  // How many files are open; whether there is a piece to be handed out.
  [[nodiscard]] std::size_t open_files() const { return files_.size(); }
  [[nodiscard]] bool has_piece() const;
  // Of the file that has the fewest under way: two writers of one file wait for each other.
  std::optional<Batch> next_piece();

  // A piece has been copied; or it cannot be, then its file is given up.  What that means for the file as a whole, if
  // it was the last piece.
  std::optional<BatchResult> close_piece(const Item& piece, bool is_copied);

 private:
  class File;
  std::optional<BatchResult> finish(std::list<File>::iterator file);

  const Rules rules_;
  std::vector<std::string>& failures_;
  std::list<File> files_;
};

}  // namespace mpcopy
