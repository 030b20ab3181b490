#include "sweep/stepped.hpp"

#include <dlfcn.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

#include "os/os.hpp"

namespace multiprocessing::sweep {
namespace {

// The two markers.  With one thread the signal arrives before kill() returns.
void stand_still() { ::kill(::getpid(), SIGSTOP); }

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

void Stepped::run(Scenario& scenario, std::atomic<bool>& returned) {
  os::set_parent_death_signal(SIGKILL);
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
  try {
    scenario.before();
    stand_still();
    scenario.operation();
    returned.store(true);
    stand_still();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "in the child: %s\n", error.what());
    ::_exit(2);
  }
  ::_exit(0);
}

Stepped::Stepped(Scenario& scenario, std::atomic<bool>& returned) : process_(memory::fork_member()) {
  if (process_.pid == 0) run(scenario, returned);
  if (wait_for_stop() != SIGSTOP) failure_ = "the child did not come to the operation";
  // Dies with us, also where the parent death signal has been cleared.
  ::ptrace(PTRACE_SETOPTIONS, process_.pid, nullptr, PTRACE_O_EXITKILL);
}

Stepped::~Stepped() { kill(); }

// The signal with which it stands still; 0: it has ended.
int Stepped::wait_for_stop() {
  const int status = wait_for(process_.pid);
  if (WIFSTOPPED(status)) return WSTOPSIG(status);
  running_ = false;
  failure_ = WIFSIGNALED(status) ? "the child was killed by signal " + std::to_string(WTERMSIG(status))
                                 : "the child ended with " + std::to_string(WEXITSTATUS(status));
  return 0;
}

// The signal with which it stands still next; 0: it has ended.
int Stepped::resume(int request) {
  ::ptrace(static_cast<__ptrace_request>(request), process_.pid, nullptr, nullptr);
  const int signal = wait_for_stop();
  if (signal != 0 && signal != SIGTRAP && signal != SIGSTOP) {
    failure_ = "the child got signal " + std::to_string(signal);
  }
  return signal;
}

// False: it stands at its end.
bool Stepped::step(std::uint64_t instructions) {
  for (; running_ && failure_.empty() && instructions > 0; --instructions) {
    if (resume(PTRACE_SINGLESTEP) != SIGTRAP) return false;
  }
  return running_;
}

void Trace::note(std::uintptr_t address) {
  const bool is_new = seen_.insert(address).second;
  fresh.push_back(is_new || fresh.empty() ? at.size() : fresh.back());
  at.push_back(address);
}

void Stepped::step_to_end(Trace& trace) {
  do trace.note(address());
  while (step(1));
}

bool Stepped::run_to(std::uint64_t instruction, const Trace& trace) {
  const std::uint64_t from = trace.fresh[instruction];
  const bool is_near = from == 0 || trace.at[from] == 0;
  if (!is_near && !run_to_breakpoint(trace.at[from])) return false;
  step(is_near ? instruction : instruction - from);
  at_ = address();
  return running_ && at_ == trace.at[instruction];
}

#if defined(__x86_64__)

// False: it came to its end without passing there.
bool Stepped::run_to_breakpoint(std::uintptr_t address) {
  constexpr unsigned long byte = 0xff;
  constexpr unsigned long breakpoint = 0xcc;
  const pid_t pid = process_.pid;
  errno = 0;
  const auto code = static_cast<unsigned long>(::ptrace(PTRACE_PEEKTEXT, pid, address, nullptr));
  if (errno != 0) return false;
  // The child's own copy of the page: nobody else sees it.
  ::ptrace(PTRACE_POKETEXT, pid, address, (code & ~byte) | breakpoint);
  if (resume(PTRACE_CONT) != SIGTRAP) return false;
  ::ptrace(PTRACE_POKETEXT, pid, address, code);
  user_regs_struct registers{};
  ::ptrace(PTRACE_GETREGS, pid, nullptr, &registers);
  registers.rip = address;
  ::ptrace(PTRACE_SETREGS, pid, nullptr, &registers);
  return true;
}

std::uintptr_t Stepped::address() const {
  user_regs_struct registers{};
  return running_ && ::ptrace(PTRACE_GETREGS, process_.pid, nullptr, &registers) == 0 ? registers.rip : 0;
}

#else  // steps all the way

bool Stepped::run_to_breakpoint(std::uintptr_t /*address*/) { return false; }
std::uintptr_t Stepped::address() const { return 0; }

#endif

void Stepped::kill() {
  if (!running_) return;
  running_ = false;
  ::kill(process_.pid, SIGKILL);
  while (!WIFSIGNALED(wait_for(process_.pid))) {
  }
}

std::string Stepped::where() const {
  Dl_info info{};
  if (at_ == 0 || ::dladdr(reinterpret_cast<void*>(at_), &info) == 0) return "somewhere";
  const char* file = std::strrchr(info.dli_fname, '/');
  char text[256];
  std::snprintf(text, sizeof text, "%s+0x%zx (%s)", file != nullptr ? file + 1 : info.dli_fname,
                static_cast<std::size_t>(at_ - reinterpret_cast<std::uintptr_t>(info.dli_fbase)),
                info.dli_sname != nullptr ? info.dli_sname : "?");
  return text;
}

std::string Stepped::why_not() {
  const pid_t pid = ::fork();
  if (pid < 0) return "fork() fails";
  if (pid == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(errno);
    stand_still();
    ::_exit(0);
  }
  int status = wait_for(pid);
  if (!WIFSTOPPED(status)) return std::string("PTRACE_TRACEME: ") + std::strerror(WEXITSTATUS(status));
  std::string reason;
  if (::ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr) != 0) {
    reason = std::string("PTRACE_SINGLESTEP: ") + std::strerror(errno);
  } else {
    wait_for(pid);
  }
  ::kill(pid, SIGKILL);
  while (!WIFSIGNALED(wait_for(pid))) {
  }
  return reason;
}

}  // namespace multiprocessing::sweep
