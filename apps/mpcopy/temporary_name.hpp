// Under which name something is written in its target's directory, before it is whole and gets its own.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace mpcopy {

// Of what one worker writes in one go.  The same for each try in one run, so that a later try, or the end of the
// run, can remove what a killed worker left.
std::string temporary_name(std::uint64_t run, std::uint64_t serial);

// Of a large file, which a later run continues: made of the target's name and what the source is, so that every run
// finds it, and none continues what was begun from another state of the source.
std::string partial_name(std::string_view target, const struct stat& source);

enum class Leftover { none, temporary, partial };
Leftover leftover_of(std::string_view name);

// Removes what killed runs left in this directory.  Not what `source` (an open directory, or -1) has by the same name,
// which is a copy; nor a partial file that another mpcopy has locked.  What cannot be removed stays.
void remove_leftovers(int directory, int source);

}  // namespace mpcopy
