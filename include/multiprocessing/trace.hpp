// A timeline of pools and processes, for ui.perfetto.dev or chrome://tracing.
//
//   $ MULTIPROCESSING_TRACE=run.json ./program            then open run.json in one of them
//
//   mp::trace_to("run.json");                              // the same by call, before the first pool or process
//
// What is in it: each place of a pool as a track, with each task from its begin to its end as the worker has measured
// them (function, items, outcome), and starts, deaths, timeouts, cancels and recycling of workers; starts and exits of
// processes.  docs/formats/trace.md has every event and field.
//
// The whole family writes to the one file: pools in workers and children are in it too.  It is valid JSON after every
// write, whenever and however the program ends; a program that is killed loses what it had not written yet, some 1 s.
// A file of an earlier run is overwritten.
//
// Pools are traced that are made after the call (or at any time, by the environment).  Off costs one branch per task
// that is never taken; on, some 2 µs and 150 bytes of the file per task.
//
// Threads: any.  Fork: children of any start method go on with the file of their parent.
// Errors: trace_to() throws OsError where the file cannot be opened; with the environment variable that is a line on
// standard error, and nothing is traced.  What cannot be written later (a full disk) is left out.
#pragma once

#include <string>

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

void trace_to(const std::string& path);

}  // namespace multiprocessing

#pragma GCC visibility pop
