// Directories of the copy.
#pragma once

#include <string>

namespace mpcopy {

// Makes the directory where it is not there, for its owner alone: what its final mode forbids shall not be possible
// earlier.  Throws CopyError; where something that is no directory has the name, also a link to one, it says so.
void make_directory(const std::string& path);

// The same, and before it those above that are missing.  The error is about the uppermost that cannot be made: one
// message for everything below it.
void make_directories(const std::string& path);

}  // namespace mpcopy
