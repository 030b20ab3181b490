#include "base/error.hpp"

#include <string>

namespace multiprocessing {
namespace {

// What the errno text alone does not say: the limit that was hit, and what to do.
std::string_view advice(int error) {
  switch (error) {
    case EMFILE:
      return " (this process has no file descriptor left: see `ulimit -n`)";
    case ENFILE:
      return " (the system has no file descriptor left: see /proc/sys/fs/file-max)";
    case EAGAIN:
      return " (a limit was reached: see `ulimit -u`, pids.max of the cgroup)";
    case ENOSYS:
      return " (the kernel, or a tool that the program runs under, lacks this system call: Linux 5.4 is needed, and"
             " under valgrind one that knows pidfd_open, which 3.19 does not: see docs/debugging.md)";
    default:
      return "";
  }
}

std::string describe(std::string_view operation, std::string_view object, int error) {
  std::string text{operation};
  if (!object.empty()) text.append(" '").append(object).append("'");
  text.append(": ").append(std::generic_category().message(error)).append(advice(error));
  return text;
}

}  // namespace

OsError::OsError(std::string_view operation, std::string_view object, int error)
    : Error(describe(operation, object, error)), code_(error, std::generic_category()) {}

namespace base {

void throw_os_error(std::string_view operation, std::string_view object, int error) {
  throw OsError(operation, object, error);
}

}  // namespace base
}  // namespace multiprocessing
