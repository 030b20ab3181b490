// One file or symbolic link → its copy, which appears under its name only when it is whole.
//
//   died …                          what is there                 what removes it
//   before the temporary file       the old target or nothing     –
//   while writing it                + part of a temporary file    the next try; the end of the run
//   before rename                   + a whole temporary file      the next try; the end of the run
//   after rename                    the copy                      a second try replaces it by an equal one
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace mpcopy {

// A name in an open directory, and the path that messages show for it.
struct Place {
  int folder;
  std::string name;
  std::string path;
};

enum class Transfer {
  kernel,      // copy_file_range (which shares blocks where the file system can), read and write where it cannot
  read_write,  // always
};

using OnBytes = std::function<void(std::uint64_t)>;  // called after each piece with its size

// Content, owner, mode, times.  An existing file or link of the target's name is replaced in one step.
// `temporary` is a name in the target's directory that nobody else uses.  Returns the bytes copied.
// Throws CopyError; then nothing is left of it, and the old target stays.
std::uint64_t copy_file(const Place& source, const Place& target, const std::string& temporary, const OnBytes& on_bytes,
                        Transfer transfer = Transfer::kernel);

// The link itself, wherever it points.
void copy_link(const Place& source, const Place& target, const std::string& temporary);

}  // namespace mpcopy
