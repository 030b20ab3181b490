// Moves what is in a file: data stays data, holes stay holes.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rules.hpp"

namespace mpcopy {

// Two open files, the second one for reading too; and their paths, for messages.
struct Ends {
  int in;
  int out;
  const std::string& source;
  const std::string& target;
};

struct Range {
  std::uint64_t from;
  std::uint64_t to;
};

enum class Target {
  blank,    // nothing but holes
  partial,  // may have any of it already: what is equal is not written again
};

// Are there holes in it?  (Or it is compressed, or lies in its inode: asking on costs little.)
bool may_have_holes(const struct stat& info);

class ContentCopier {
 public:
  ContentCopier(const Ends& ends, const Rules& rules, Target target, Observer& observer);
  ~ContentCopier();
  ContentCopier(const ContentCopier&) = delete;
  ContentCopier& operator=(const ContentCopier&) = delete;

  // The range of the one to the same place in the other.  Where the source ends earlier, so does the copy; how far it
  // came.  Throws CopyError.
  std::uint64_t copy(Range range, bool may_have_holes);
  // From there to where reading says that the end is: in /proc and /sys files have content to which their size does
  // not admit.
  void copy_rest(std::uint64_t from);

  // Reads what was copied from the disk, and throws CopyError where it is not what was read from the source.  Does
  // nothing where Rules::verify is not set.
  void verify();

 private:
  struct Sum;  // of what was read from the source

  std::uint64_t copy_data(Range range);
  std::uint64_t copy_by_kernel(Range range);
  std::uint64_t copy_by_buffer(Range range);
  void write_block(const char* data, std::size_t size, std::uint64_t at);
  void pass_hole(Range range);
  void clear(Range range);
  void note(const char* data, Range range);

  Ends ends_;
  const Rules& rules_;
  Target target_;
  Observer& observer_;
  std::unique_ptr<Sum> sum_;  // null: nothing is verified
  std::vector<Range> noted_;  // what sum_ is of
};

}  // namespace mpcopy
