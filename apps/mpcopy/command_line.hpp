// What the user typed → Options.
#pragma once

#include <optional>

#include "options.hpp"

namespace mpcopy {

inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;  // as `cp`: for a file that was not copied, and for a wrong command line

// The exit status instead, where the command line ends the program: --help, --version, a mistake.
std::optional<int> parse_command_line(int argc, char** argv, Options& options);

// "mpcopy: message" on standard error.
void report(const std::string& message);

}  // namespace mpcopy
