// --dry-run: what would be copied, and nothing else.
#pragma once

#include <string>
#include <vector>

#include "options.hpp"
#include "roots.hpp"

namespace mpcopy {

// Says it on standard output, a line for each file and each new directory: 'a/b' -> 'c/b'.  What cannot be copied goes
// to `failures`, as far as that can be seen without trying.
void show_what_would_be_copied(const Options& options, std::vector<Root> roots, std::vector<std::string>& failures);

}  // namespace mpcopy
