// How a process begins: as a copy of its parent, or as the program once more.
//
//   int main() {
//     mp::set_start_method(mp::StartMethod::spawn);            // for the whole program, once
//     mp::Process p(task, "x");
//     p.start();
//   }
//
//   mp::get_context(mp::StartMethod::forkserver).process(task, "x");   // for one process (context.hpp)
//
//                fork (default)             spawn                         forkserver
//   begins as    a copy of its parent       the program, executed anew    a copy of the program as it is before main
//   memory       the parent's, copied       that of a fresh program       that of a fresh program
//   target       anything                   what can be sent              what can be sent
//   threads of   their locks are copied     do not matter                 do not matter
//   the parent   as they were
//   costs        more with the memory       the program's start           little, after the first
//
// Under spawn and forkserver the program's static initialisers run and its `main` does not: the library takes over
// before it.  So nothing has to be done in `main`, and a guard as in Python (`if __name__ == "__main__"`) is not needed.
// An object in static storage is made anew there: a `static mp::Lock` is another lock.  Hand it over as an argument.
//
// What can be sent (serialize.hpp): functions, lambdas without captures, serializable function objects, and arguments that
// are values or handles of this library, connections included.  For anything else start() throws NotSendable, which says
// what to do.  Subclasses: ProcessOf (process.hpp).
//
// What else the child has: under spawn the environment, the working directory and the descriptors 0 to 2 of its parent
// as of start(), and no other descriptors but those among its arguments.  Under forkserver descriptors 0 to 2 as of
// start(), the rest as of the first start().  Signal handlers are not inherited, ignored signals and the signal mask are.
//
// Both need the descriptor of the family's memory: in a program that closes descriptors which it has not opened, after its
// first use of this library, start() throws OsError, which says so.  What runs goes on, and fork needs none.
//
// Threads: safe from any.  Errors: std::logic_error for a second set_start_method() without .force.
#pragma once

#include <vector>

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

enum class StartMethod { fork, spawn, forkserver };

struct SetStartMethodOptions {
  bool force = false;  // also when it was set before
};

// For every Process that has no context of its own, in this process and those that it starts from now on.
void set_start_method(StartMethod method, SetStartMethodOptions options = {});
[[nodiscard]] StartMethod get_start_method() noexcept;
[[nodiscard]] std::vector<StartMethod> get_all_start_methods();  // the default first
[[nodiscard]] const char* name_of(StartMethod method) noexcept;  // "fork"

// Needed only by programs whose child processes run into `main`, which the library prevents where it can: it can wherever
// the program was linked by the usual tools for Linux, static programs included.  As the first thing in `main`; in a
// child it does not return.
void init(int argc, char** argv);

}  // namespace multiprocessing

#pragma GCC visibility pop
