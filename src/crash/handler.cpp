// Invariants
//   1. One thread writes the report, the first that crashes (`crashing`), and the process dies of its signal.  Another
//      one that crashes meanwhile waits for that: its own signal would end the process under the writer.
//   2. Whatever happens in the handler, the process dies of the signal that came first: die_of() queues it again with
//      its own siginfo, default action restored.  Returning alone would not do for signals that were sent, for SIGTRAP
//      and for SIGSYS: the program would go on.
#include "crash/handler.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <cerrno>
#include <cstddef>

#include "crash/modules.hpp"
#include "crash/traced_call.hpp"

namespace multiprocessing::crash {
namespace {

constexpr int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
constexpr int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};  // what the handler itself can come to
constexpr unsigned patience_s = 5;  // until a handler that hangs is given up; it needs some 50 µs

constinit Report* report = nullptr;
constinit pid_t owner = 0;
constinit std::atomic<pid_t> crashing{0};  // the thread that writes the report
constinit siginfo_t first{};               // the signal that the report is about

alignas(64) constinit std::byte alternate_stack[std::size_t{64} << 10]{};

void set_action(int signo, void (*handler)(int, siginfo_t*, void*)) noexcept {
  struct sigaction action {};
  action.sa_flags = handler != nullptr ? SA_SIGINFO | SA_ONSTACK : 0;
  sigemptyset(&action.sa_mask);
  if (handler != nullptr) {
    action.sa_sigaction = handler;
    for (const int other : signals) sigaddset(&action.sa_mask, other);
  } else {
    action.sa_handler = SIG_DFL;
  }
  ::sigaction(signo, &action, nullptr);
}

// The signal is delivered when it is unblocked: as the handler returns.
void die_of(siginfo_t& info) noexcept {
  set_action(info.si_signo, nullptr);
  const pid_t pid = ::getpid();
  const auto tid = static_cast<pid_t>(::syscall(SYS_gettid));
  if (::syscall(SYS_rt_tgsigqueueinfo, pid, tid, info.si_signo, &info) == 0) return;
  ::syscall(SYS_tgkill, pid, tid, info.si_signo);
}

// By the writer, which has faulted itself, or by whichever thread the alarm comes to.
void give_up() noexcept {
  die_of(first);
  sigset_t it;
  sigemptyset(&it);
  sigaddset(&it, first.si_signo);
  ::sigprocmask(SIG_UNBLOCK, &it, nullptr);
  ::_exit(128 + first.si_signo);  // not reached
}

void on_crash(int signo, siginfo_t* info, void* context) noexcept;

void watch_over_own_faults() noexcept {
  sigset_t all;
  sigemptyset(&all);
  for (const int signo : own_faults) {
    set_action(signo, on_crash);  // also where the program has a handler of its own
    sigaddset(&all, signo);
  }
  set_action(SIGALRM, [](int, siginfo_t*, void*) { give_up(); });
  sigaddset(&all, SIGALRM);
  ::alarm(patience_s);
  ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
}

struct Walk {
  Report* out;
  std::uint64_t crashed_at;  // frames up to this address are the handler's
  bool met = false;
};

bool add_frame(Report& out, std::uint64_t address) noexcept {
  const std::uint32_t at = out.frames.load(std::memory_order_relaxed);
  if (at == most_frames) return false;
  out.frame[at].address = address;
  out.frame[at].module = module_index(address, out.module, out.modules);
  out.frames.store(at + 1, std::memory_order_release);  // sync(crash-frame): pairs with read_report
  return true;
}

_Unwind_Reason_Code step(_Unwind_Context* context, void* data) {
  Walk& walk = *static_cast<Walk*>(data);
  int exact = 0;  // the address is that of the instruction itself: of a signal's frame
  const std::uint64_t address = _Unwind_GetIPInfo(context, &exact);
  if (!walk.met) {
    walk.met = exact != 0 && address == walk.crashed_at;
    return _URC_NO_REASON;
  }
  if (address == 0 || is_traced_call(address)) return _URC_END_OF_STACK;
  return add_frame(*walk.out, address - (exact == 0)) ? _URC_NO_REASON : _URC_END_OF_STACK;
}

struct Registers {
  std::uint64_t pc = 0;
  std::uint64_t caller = 0;  // where a function that has just been called would return to
};

Registers registers_of(const ucontext_t& context) noexcept {
#if defined(__x86_64__)
  const auto pc = static_cast<std::uint64_t>(context.uc_mcontext.gregs[REG_RIP]);
  LoadedModule module;
  if (find_module(pc, module)) return {pc, 0};
  return {pc, *reinterpret_cast<const std::uint64_t*>(context.uc_mcontext.gregs[REG_RSP])};
#elif defined(__aarch64__)
  return {context.uc_mcontext.pc, context.uc_mcontext.regs[30]};
#else
  static_cast<void>(context);
  return {};
#endif
}

void write_report(Report& out, const siginfo_t& info, const ucontext_t& context) noexcept {
  out.code = info.si_code;
  out.pid = owner;
  out.address = info.si_code > 0 ? reinterpret_cast<std::uint64_t>(info.si_addr) : 0;
  out.frames.store(0, std::memory_order_relaxed);
  out.modules.store(0, std::memory_order_relaxed);
  out.signal.store(info.si_signo, std::memory_order_release);  // sync(crash-signal): pairs with read_report
  const Registers at = registers_of(context);
  add_frame(out, at.pc);
  if (out.frame[0].module != no_module) {
    Walk walk{&out, at.pc};
    _Unwind_Backtrace(step, &walk);
  } else if (at.caller != 0) {
    add_frame(out, at.caller - 1);  // a call through a pointer that pointed nowhere: the unwinder is lost there
  }
}

void on_crash(int /*signo*/, siginfo_t* info, void* context) noexcept {
  const int error = errno;
  if (::getpid() == owner) {
    const auto self = static_cast<pid_t>(::syscall(SYS_gettid));
    pid_t nobody = 0;
    if (crashing.compare_exchange_strong(nobody, self)) {
      first = *info;
      watch_over_own_faults();
      write_report(*report, *info, *static_cast<const ucontext_t*>(context));
      ::alarm(0);
    } else if (nobody == self) {
      give_up();
    } else {
      const timespec longer{2 * patience_s, 0};
      ::nanosleep(&longer, nullptr);
    }
  }
  die_of(*info);
  errno = error;
}

void use_alternate_stack() noexcept {
  stack_t now{};
  if (::sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0) return;  // a sanitizer's, or the program's
  stack_t ours{};
  ours.ss_sp = alternate_stack;
  ours.ss_size = sizeof alternate_stack;
  ::sigaltstack(&ours, nullptr);
}

// The first call of each function that the handler needs is a search by the loader, under its locks: not in there.
void warm_up(Report& out) noexcept {
  Walk walk{&out, 0, true};
  _Unwind_Backtrace(step, &walk);
  out.frames.store(0, std::memory_order_relaxed);
  out.modules.store(0, std::memory_order_relaxed);
}

}  // namespace

void install_handler(Report& out) noexcept {
  report = &out;
  owner = ::getpid();
  crashing.store(0);
  warm_up(out);
  use_alternate_stack();
  for (const int signo : signals) {
    struct sigaction now {};
    if (::sigaction(signo, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL) {
      set_action(signo, on_crash);
    }
  }
}

}  // namespace multiprocessing::crash
