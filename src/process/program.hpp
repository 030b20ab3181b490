// This program, executed once more; and which file a piece of code is in.
//
// The new program is told by a variable of its environment that it is one of ours, and takes it away before anything
// else of it runs (before_main.cpp).  Where our code is not in the program but in a shared library, which the program
// may open late or not at all, the library is preloaded: it has to be there before main.
#pragma once

#include <sys/types.h>

#include <string>

#include "os/programs.hpp"

namespace multiprocessing::process_ {

// "3": the start packet waits at this descriptor.  "3,PATHS": and LD_PRELOAD was PATHS before it became ours.
inline constexpr char start_variable[] = "MULTIPROCESSING_START";

// What the program was called with.
void set_program_arguments(int argc, char** argv) noexcept;

// The program with the other end of `socket`.  Throws OsError.
[[nodiscard]] pid_t execute_program(int socket, os::Signals signals);

// The file of the shared library that `code` is in; empty: it is in the program itself.
[[nodiscard]] std::string library_of(const void* code);

}  // namespace multiprocessing::process_
