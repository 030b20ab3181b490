// A stack as text, as an exception shows it.
//
//   #0 divide(int, int) at /home/me/tasks.cpp:12
//   #1 solve(Problem const&) at /home/me/tasks.cpp:30
//   #2 run in libplugin.so+0x11e9
//   (20 more)
//
// Of the frames above and below the task's own, those of the library that carry it out are left out: what throws or
// raises, and what calls the task.
#pragma once

#include <string>

#include "crash/trace.hpp"

namespace multiprocessing::crash {

struct StackText {
  std::string all;  // a line per frame, without a newline at the end; "": no frame
  std::string top;  // "divide(int, int) (/home/me/tasks.cpp:12)": the first that is no system library's
};

[[nodiscard]] StackText text_of(const Trace& trace);

}  // namespace multiprocessing::crash
