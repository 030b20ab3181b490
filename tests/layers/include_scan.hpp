// Finds includes that point upward, from a file of one layer to a file of a layer above it, and public headers whose names
// a program would not find in the shared library.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace multiprocessing::layers {

// The rules to scan by.
//   src/<layer>/…                      belongs to <layer>
//   include/multiprocessing/<header>   belongs to public_headers.at(<header>)
struct Rules {
  std::vector<std::string> layers;                    // lowest first
  std::map<std::string, std::string> public_headers;  // header → layer
};

// Every offence below root/src and root/include, one line each, made for a reader: where, what, and what to do.
// Offences are: an include of a higher layer; a folder under src/ that is no layer; a public header without a line
// in the table, and a line without a header; a public header that leaves its names hidden, or that a compiler for an older
// language would not understand.
std::vector<std::string> find_offences(const std::filesystem::path& root, const Rules& rules);

}  // namespace multiprocessing::layers
