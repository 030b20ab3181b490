#include "sync/thread_id.hpp"

#include <unistd.h>

#include "os/programs.hpp"

namespace multiprocessing::sync {
namespace {

thread_local pid_t known = 0;

// A child is another thread.  Registered before main, for a thread could fork while another asks for the first time.
[[maybe_unused]] const int registered = os::at_fork(nullptr, nullptr, [] { known = 0; });

}  // namespace

pid_t thread_id() noexcept {
  if (known == 0) known = ::gettid();
  return known;
}

}  // namespace multiprocessing::sync
