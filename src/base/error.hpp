// How a failed system call becomes an exception: operation, object and errno text, always all three.
#pragma once

#include <cerrno>
#include <string_view>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::base {

// Throws OsError: "open '/tmp/x': No such file or directory".
[[noreturn]] void throw_os_error(std::string_view operation, std::string_view object, int error = errno);

}  // namespace multiprocessing::base
