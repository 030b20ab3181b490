#include "process/bootstrap.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ext/stdio_sync_filebuf.h>
#include <iostream>
#include <string>
#include <typeinfo>

#include "base/log.hpp"
#include "base/own_threads.hpp"
#include "crash/traced_call.hpp"
#include "multiprocessing/process.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "process/default_method.hpp"
#include "process/exception_text.hpp"
#include "process/forkserver.hpp"
#include "process/print_stack.hpp"
#include "process/registry.hpp"
#include "process/report.hpp"
#include "process/trace.hpp"
#include "process/watch_parent.hpp"
#include "shared_memory/leave.hpp"
#include "synchronize/leave.hpp"

namespace multiprocessing::process_ {
namespace {

// Through a pointer, which the loader has filled in: the first call of a function by its name, in a child, is a search
// through all shared libraries, and its page faults are a tenth of the whole cost of a short-lived child.
using ExitFunction = void (*)(int);
constinit volatile ExitFunction exit_now = &::_exit;

// exit() and the return from main end here.  In a child of ours nothing that was registered earlier, which is
// the parent's, may run; exit(n) in a target arrives here and not in run_child().
void at_exit(int status, void* /*unused*/) {
  if (identity().pid == ::getpid()) leave_child(status);
  base::log(LogLevel::info, "process shutting down");
  Registry::finish_current();
  end_forkserver();
  Trace::flush_current();
}

void unblock_polite_signals() {
  sigset_t polite;
  sigemptyset(&polite);
  sigaddset(&polite, SIGTERM);
  sigaddset(&polite, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &polite, nullptr);
}

// The exit code of the target.  Not looked at by the undefined-behaviour sanitizer: to the handler of a forced unwind
// the runtime gives no object, and the sanitizer takes that for a reference to null.
template <class Target>
__attribute__((no_sanitize("undefined"))) int run_target(Target target) {
  try {
    crash::traced(target);
    return 0;
  } catch (abi::__forced_unwind&) {
    // pthread_exit() in the target, or its cancellation.  Unwinding further would destroy the parent's objects.
    leave_child(0);
  } catch (...) {
    print_uncaught(identity().name);
    return 1;
  }
}

// A standard stream that is synchronised with stdio, as they are unless the program says otherwise, holds nothing back
// itself.  Looking at the type of its buffer first spares a short-lived child six page faults.
template <class Char>
void flush(std::basic_ostream<Char>& stream) noexcept {
  const auto* const buffer = stream.rdbuf();
  if (buffer == nullptr || typeid(*buffer) == typeid(__gnu_cxx::stdio_sync_filebuf<Char>)) return;
  try {
    stream.flush();
  } catch (...) {  // the program asked for exceptions from its streams; there is nobody to take this one
  }
}

}  // namespace

void print_uncaught(const std::string& name) noexcept {
  try {
    const crash::Trace thrown = crash::take_thrown();
    const std::string text = "Process " + name + " (" + std::to_string(::getpid()) + "): uncaught exception " +
                             describe_current_exception() + "\n";
    std::fputs(text.c_str(), stderr);
    std::fflush(stderr);
    print_stack(thrown);
  } catch (...) {
    std::fputs("multiprocessing: uncaught exception, and no memory to say which\n", stderr);
  }
}

ChildPlan::ChildPlan(const Child& child)
    : identity(std::make_unique<Identity>()),
      parent(::getpid()),
      forked_by_main_thread(::gettid() == parent),
      forked_by_single_thread(__libc_single_threaded != 0) {
  const Identity& me = process_::identity();
  identity->name = child.name();
  identity->path = child.path();
  identity->daemon = child.daemon();
  identity->parent_name = me.name;
  identity->parent = std::make_shared<Relative>(parent, me.daemon);
}

ChildPlan::ChildPlan(const Preparation& preparation, bool by_main_thread)
    : identity(std::make_unique<Identity>()),
      parent(preparation.parent),
      forked_by_main_thread(by_main_thread),
      forked_by_single_thread(true) {
  identity->name = preparation.name;
  identity->path = preparation.path;
  identity->daemon = preparation.daemon;
  identity->parent_name = preparation.parent_name;
  identity->parent = std::make_shared<Relative>(parent, preparation.parent_is_daemon);
}

Preparation ChildPlan::preparation() const {
  Preparation to;
  to.name = identity->name;
  to.path = identity->path;
  to.daemon = identity->daemon;
  to.parent_name = identity->parent_name;
  to.parent = parent;
  to.parent_is_daemon = identity->parent->daemon();
  return to;
}

void inherit_settings(const Preparation& preparation) {
  inherit_default_method(preparation.start_method);
  base::lowest_log_level.store(preparation.log_level, std::memory_order_relaxed);
  Trace::inherit(preparation.trace);
}

void enter_child(ChildPlan& plan) {
  const bool daemon = plan.identity->daemon;
  plan.identity->pid = ::getpid();
  set_identity(std::move(plan.identity));
  settle_child(plan.forked_by_single_thread);
  if (daemon) die_with_parent(plan.parent, plan.forked_by_main_thread);
}

void settle_child(bool with_exit_handler) {
  // The handler that the parent registered at its first start() is inherited; but handlers that the parent
  // registered after it would run before it.  So the child registers its own, unless the parent had threads:
  // one of them may have held the C library's lock for this at the fork.
  if (with_exit_handler) ::on_exit(&at_exit, nullptr);
  os::set_subreaper();  // what its descendants orphan becomes its own, where kill() finds it
  unblock_polite_signals();
  base::own_threads.store(0, std::memory_order_relaxed);  // they are the parent's
  base::log(LogLevel::info, "child process calling self.run()");
}

void leave_child(int status) {
  base::log(LogLevel::info, "process shutting down");
  flush_standard_streams();  // before the wait: what it has said should be seen even if it never ends
  Registry::finish_current();
  end_forkserver();
  Trace::flush_current();
  synchronize::leave();
  shared_memory::leave();
  MULTIPROCESSING_STEP("process.child.finished");
  flush_standard_streams();  // for its other threads
  MULTIPROCESSING_STEP("process.child.flushed");
  base::log(LogLevel::info, "process exiting with exitcode ", status);
  exit_now(status);
  __builtin_unreachable();
}

namespace {

// A library that the parent has opened since its start is opened here too.  `dlopen` is not there in a static program.
#pragma weak dlopen
detail::TargetReader reader_of(const Preparation& preparation) {
  if (!preparation.library.empty() && dlopen != nullptr) {
    ::dlopen(preparation.library.c_str(), RTLD_NOW | RTLD_LOCAL);  // in vain: code_of() says what is missing
  }
  return reinterpret_cast<detail::TargetReader>(const_cast<void*>(codec::code_of(preparation.reader)));
}

// The descriptors that came for the arguments are those of the target afterwards, and nobody else's.
std::unique_ptr<detail::Runnable> read_target(Received start, const Preparation& preparation) {
  const detail::TargetReader reader = reader_of(preparation);
  codec::Decoder in(start.target(), start.carried());
  return reader(in);
}

}  // namespace

void run_received(Received start, const Preparation& preparation) {
  MULTIPROCESSING_STEP("process.child.entered");
  detail::Runnable* target = nullptr;  // never destroyed, as under fork
  leave_child(run_target([&] {
    target = read_target(std::move(start), preparation).release();
    target->run();
  }));
}

void run_child(ChildPlan& plan, Child& record, Process& process) {
  MULTIPROCESSING_STEP("process.child.forked");
  record.becomes_this_process();
  int status = 1;
  try {
    enter_child(plan);
    MULTIPROCESSING_STEP("process.child.entered");
    status = run_target([&process] { process.run(); });
  } catch (const std::exception& error) {
    std::fprintf(stderr, "Process %s (%d): cannot start: %s\n", record.name().c_str(), static_cast<int>(::getpid()),
                 error.what());
  }
  leave_child(status);
}

void flush_standard_streams() noexcept {
  flush(std::cout);
  flush(std::cerr);
  flush(std::clog);
  flush(std::wcout);
  flush(std::wcerr);
  flush(std::wclog);
  std::fflush(stdout);
  std::fflush(stderr);
}

void register_exit_handler() {
  static constinit std::atomic<bool> registered{false};
  if (!registered.exchange(true)) ::on_exit(&at_exit, nullptr);
}

}  // namespace multiprocessing::process_
