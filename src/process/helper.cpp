#include "process/helper.hpp"

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "multiprocessing/detail/callable_token.hpp"
#include "multiprocessing/detail/process_target.hpp"
#include "multiprocessing/errors.hpp"
#include "os/os.hpp"

namespace multiprocessing::process_ {
namespace {

// What the program's handlers mean, they mean for the program.
void reset_signals() {
  for (int signo = 1; signo < NSIG; ++signo) {
    struct sigaction action {};
    if (::sigaction(signo, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    action.sa_handler = SIG_DFL;
    action.sa_flags = 0;
    ::sigaction(signo, &action, nullptr);
  }
  ::signal(SIGCHLD, SIG_DFL);  // ignored, it would have the kernel reap our children
  ::signal(SIGTTOU, SIG_IGN);  // in the background of their terminal, children may still write to it
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

void become_helper() noexcept {
  ::setpgid(0, 0);
  reset_signals();
  os::set_subreaper();
}

void write_routine(codec::Encoder& out, const detail::Routine& routine) {
  codec::encode(out, static_cast<bool>(routine));
  if (!routine) return;
  codec::Encoder body;
  const detail::TargetReader reader = routine.write(body);
  if (!body.carried().empty() || !body.descriptors().empty()) {
    throw NotSendable(
        "an initializer or finalizer with handles of this library in it (queues, locks …) needs the start "
        "method fork; under others hand them to the tasks");
  }
  codec::encode(out, codec::token_of(reinterpret_cast<const void*>(reader)));
  codec::encode(out, std::string(reinterpret_cast<const char*>(body.bytes().data()), body.size()));
}

detail::Routine read_routine(codec::Decoder& in) {
  if (!codec::decode<bool>(in)) return {};
  const auto reader =
      reinterpret_cast<detail::TargetReader>(const_cast<void*>(codec::code_of(codec::decode<codec::Token>(in))));
  const auto bytes = codec::decode<std::string>(in);
  codec::Decoder body({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
  return detail::Routine(std::shared_ptr<detail::Runnable>(reader(body)));
}

}  // namespace multiprocessing::process_
