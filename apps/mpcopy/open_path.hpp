// Directories by paths of any length: the kernel takes PATH_MAX bytes at a time, so longer ones are walked.
#pragma once

#include <string>

#include "base/fd.hpp"

namespace mpcopy {

enum class For { reading, holding };  // holding: to name what is in it; a directory that may be searched is enough

// Empty, with errno, where it fails.  "" is the current directory.  A link in the place of the directory itself is not
// followed, unless the path ends with a slash.
multiprocessing::base::Fd open_directory(const std::string& path, For purpose);

// The directory that holds the path's last name; what is named in it by last_name() is what the path names.
multiprocessing::base::Fd open_folder_of(const std::string& path);

}  // namespace mpcopy
