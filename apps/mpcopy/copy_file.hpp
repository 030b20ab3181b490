// One file → its copy, which appears under its name only when it is whole.
//
//   died …                          what is there                 what removes it
//   before the temporary file       the old target or nothing     –
//   while writing it                + part of a temporary file    the next try; the end of the run; --resume
//   before rename                   + a whole temporary file      the next try; the end of the run; --resume
//   after rename                    the copy                      a second try replaces it by an equal one
#pragma once

#include <string>

#include "rules.hpp"
#include "target_check.hpp"

namespace mpcopy {

enum class Outcome { copied, left };  // left: as Rules say, the target stays as it is

// Content, owner, extended attributes, mode, times.  An existing file or link of the target's name is replaced in one
// step.  `temporary` is a name in the target's directory that nobody else uses.
// Throws CopyError; then nothing is left of it, and the old target stays.
Outcome copy_file(const Place& source, const Place& target, const std::string& temporary, const Rules& rules,
                  Observer& observer);

// A range of a large file (item.from, item.bytes) to its place in the temporary file, which is there already and may
// have some of it.  Throws CopyError.
void copy_piece(const Place& source, const Place& temporary, std::uint64_t from, std::uint64_t bytes,
                const Rules& rules, Observer& observer);

// Makes the open file `out` share all blocks of `in`.  True: it does, and its content is complete.  Throws CopyError
// where sharing is asked for and impossible.
bool share_blocks(int in, int out, const struct stat& from, const struct stat& to, const Place& source,
                  const Place& target, Reflink reflink);

// Was the content changed since then?  Adds a complaint.
void complain_of_change(int in, const struct stat& before, const std::string& path, Observer& observer);

}  // namespace mpcopy
