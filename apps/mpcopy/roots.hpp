// What the command line means: which source becomes which target.
#pragma once

#include <string>
#include <vector>

#include "options.hpp"

namespace mpcopy {

// A file, link or directory of the command line, and the path its copy gets.
struct Root {
  std::string source;
  std::string target;
};

struct Roots {
  std::vector<Root> roots;
  std::vector<std::string> failures;
};

// As `cp`: where `destination` is a directory (or a link to one), each source is copied into it under its own
// last name; else the only source is copied to that very name.  Refused, with a message in failures: several
// sources and no directory to hold them, a source that is not there, a directory into itself or below itself, and a
// target that an earlier source has taken.  Into::always: `destination` must be a directory; never: it is the name of
// the only copy, also where it is a directory.
Roots resolve_roots(const std::vector<std::string>& sources, const std::string& destination,
                    Into into = Into::if_directory);

// "c" of a/b/c and of a/b/c/; "/" of "/".
std::string last_name(const std::string& path);
// "a/b" of a/b/c; "" where there is none, which means the current directory.
std::string folder_of(const std::string& path);

}  // namespace mpcopy
