#include "process/start.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>

#include "base/error.hpp"
#include "os/faults.hpp"
#include "process/bootstrap.hpp"
#include "process/default_method.hpp"
#include "process/forkserver.hpp"
#include "process/preparation.hpp"
#include "process/program.hpp"
#include "process/socket_pair.hpp"
#include "process/trace.hpp"

namespace multiprocessing::process_ {
namespace {

std::uint64_t blocked_signals() {
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  std::uint64_t bits = 0;
  for (int signal = 1; signal <= 64; ++signal) {
    if (sigismember(&blocked, signal) == 1) bits |= std::uint64_t{1} << (signal - 1);
  }
  return bits;
}

class Spawning final : public memory::Maker {
 public:
  explicit Spawning(const Message& message) noexcept : message_(message) {}
  pid_t make(const memory::Newcomer& newcomer) override {
    const SocketPair sockets;
    const bool by_main_thread = ::gettid() == ::getpid();
    const int error =
        message_.send(sockets.ours(), {Role::child, ::getpid(), by_main_thread, newcomer, memory::descriptor()}, false);
    if (error < 0) base::throw_os_error("send", "what a new process is to run", -error);
    MULTIPROCESSING_STEP("process.start.sent");
    return execute_program(sockets.theirs(), os::Signals::as_here);
  }

 private:
  const Message& message_;
};

class Asking final : public memory::Maker {
 public:
  explicit Asking(const Message& message) noexcept : message_(message) {}
  pid_t make(const memory::Newcomer& newcomer) override { return ask_forkserver(message_, newcomer); }

 private:
  const Message& message_;
};

}  // namespace

memory::Forked start_by_message(StartMethod method, const Child& child, const codec::Encoder& target,
                                detail::TargetReader reader, int log_level) {
  Preparation preparation = ChildPlan(child).preparation();
  preparation.start_method = default_method();
  preparation.blocked_signals = blocked_signals();
  const auto* const code = reinterpret_cast<const void*>(reader);
  preparation.reader = codec::token_of(code);
  preparation.library = library_of(code);
  preparation.log_level = log_level;
  preparation.trace = Trace::current_path();
  const Message message(preparation, target);
  MULTIPROCESSING_STEP("process.start.planned");
  if (method == StartMethod::spawn) {
    Spawning maker(message);
    return memory::start_member(target.carried(), maker);
  }
  Asking maker(message);
  return memory::start_member(target.carried(), maker);
}

}  // namespace multiprocessing::process_
