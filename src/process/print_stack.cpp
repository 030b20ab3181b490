// To name what lies on a stack means to ask the loader for its modules, under a lock.  In a child that was forked while
// another thread of its parent held that lock it would be waited for in vain.  So a child of this process does it, and
// where it does not come to an end, what is known without asking is printed.
#include "process/print_stack.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "base/fd.hpp"
#include "crash/stack_text.hpp"
#include "os/os.hpp"

namespace multiprocessing::process_ {
namespace {

constexpr std::chrono::seconds patience{5};  // it takes some 0.1 s

void print(const std::string& text) noexcept {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data() + done, text.size() - done);
    if (n <= 0) return;
    done += static_cast<std::size_t>(n);
  }
}

std::string without_names(const crash::Trace& trace) {
  std::string text;
  for (const crash::Frame& frame : trace.frames) {
    char offset[32];
    std::snprintf(offset, sizeof offset, "+%#llx\n", static_cast<unsigned long long>(frame.offset));
    const bool known = frame.module < trace.modules.size();
    const std::string module = known ? trace.modules[frame.module].path : "??";
    text += (module.empty() ? "the program" : module) + offset;
  }
  return text;
}

bool printed_by_helper(const crash::Trace& trace) {
  const pid_t helper = os::fork();
  if (helper == 0) {
    os::set_parent_death_signal(SIGKILL);
    try {
      print(crash::text_of(trace).all + "\n");
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  if (helper < 0) return false;
  const base::Fd pidfd(os::pidfd_open(helper));
  if (!pidfd || !os::wait_ended(pidfd.get(), os::Deadline::after(patience))) {
    ::kill(helper, SIGKILL);
    return false;
  }
  os::Ending ending;
  return os::reap(pidfd.get(), ending) == 0 ? ending.status == 0 : true;
}

}  // namespace

void print_stack(const crash::Trace& trace) noexcept {
  if (trace.frames.empty()) return;
  try {
    if (!printed_by_helper(trace)) print(without_names(trace));
  } catch (...) {  // no memory
  }
}

}  // namespace multiprocessing::process_
