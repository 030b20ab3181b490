// What is to be done about what stands where the copy shall be.
#pragma once

#include <sys/stat.h>

#include <string>

#include "rules.hpp"

namespace mpcopy {

// A name in an open directory, and the path that messages show for it.
struct Place {
  int folder;
  std::string name;
  std::string path;
  bool gives_acls = false;  // what is made there gets an access control list from the directory
};

enum class Verdict { copy, leave };

// Leave it: Rules say so (update: it is not older than the source; resume: it is the complete copy of an earlier run).
// Throws CopyError where it may not be replaced, as `cp` says it: by a directory, or by itself.
Verdict check_target(const struct stat& source, const std::string& source_path, const Place& target,
                     const Rules& rules);

}  // namespace mpcopy
