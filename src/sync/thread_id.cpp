#include "sync/thread_id.hpp"

#include <unistd.h>

#include "os/programs.hpp"

namespace multiprocessing::sync {
namespace {

// A child is another thread.  Registered before main, for a thread could fork while another asks for the first time.
[[maybe_unused]] const int registered = os::at_fork(nullptr, nullptr, [] { known_thread_id = 0; });

}  // namespace

pid_t ask_for_thread_id() noexcept { return known_thread_id = ::gettid(); }

}  // namespace multiprocessing::sync
