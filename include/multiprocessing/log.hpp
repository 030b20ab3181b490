// log_to_stderr: what the library does, a line each, as Python's multiprocessing.log_to_stderr().
//
//   mp::log_to_stderr(mp::LogLevel::info);
//
//   [INFO/ForkPoolWorker-1] child process calling self.run()
//   [WARNING/MainProcess] worker 4711 died of signal 11 (Segmentation fault) while it ran apply of parse
//   [INFO/MainProcess] worker 4715 takes the place of one that has ended
//
//   debug    workers added, a worker's end in order, close, join and terminate of pools
//   info     start and end of processes, workers that are replaced, tasks that were cancelled
//   warning  deaths of workers, timeouts, memory limits; once, that a program with several threads is forked
//   error    a pool that is broken
//
// Off until it is called; then it costs a load and a comparison where a line could be written.
//
// A line is one write() to standard error, at most 4096 bytes long (a longer one is cut), so those of several processes
// never mix, in a pipe either.  Line breaks in a text become spaces.
//
// Threads: any, at any time.  Fork: a process that is started, by any method, inherits the level; setting it changes that of this
// process and of those it starts from then on.  Errors: what cannot be written is lost; a closed pipe raises no SIGPIPE.
#pragma once

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

enum class LogLevel { debug = 10, info = 20, warning = 30, error = 40 };  // Python's numbers

// Lines of this level and those above it.
void log_to_stderr(LogLevel level = LogLevel::warning) noexcept;

}  // namespace multiprocessing

#pragma GCC visibility pop
