#include "process/report.hpp"

#include <string.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "base/log.hpp"
#include "base/own_threads.hpp"
#include "process/trace.hpp"

namespace multiprocessing::process_ {
namespace {

constinit std::atomic<bool> told_of_threads{false};

// Those of the program.  The folder has a link for each thread.
int other_threads() noexcept {
  struct stat status {};
  if (::stat("/proc/self/task", &status) != 0) return 0;
  return static_cast<int>(status.st_nlink) - 3 - base::own_threads.load(std::memory_order_relaxed);
}

}  // namespace

void report_fork() noexcept {
  static_cast<void>(Trace::current());
  if (!base::logs(LogLevel::warning) || told_of_threads.load()) return;
  int others = other_threads();
  if (others > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // one that was joined just now may still be listed
    others = other_threads();
  }
  if (others <= 0 || told_of_threads.exchange(true)) return;
  base::log(LogLevel::warning, "this program has ", others, others == 1 ? " other thread" : " other threads",
            " while it forks: what one of them has locked stays locked in the child.  Start processes and pools before "
            "threads, or use the start method forkserver or spawn (said once)");
}

void report_start(const std::string& name, pid_t pid) noexcept {
  base::log(LogLevel::debug, "started process ", name, " (", pid, ")");
  Trace* const trace = Trace::current();
  if (trace == nullptr) return;
  trace->name_process(pid, name);
  TraceEvent start("start", 'i', pid, static_cast<std::uint32_t>(pid));
  start.at(Trace::now());
  trace->add(std::move(start));
}

void report_end(const std::string& name, pid_t pid, std::optional<int> code) noexcept {
  if (base::logs(LogLevel::info)) {
    base::log(LogLevel::info, "process ", name, " (", pid,
              ") has ended: ", code ? ending_text(*code) : std::string("someone else knows how"));
  }
  Trace* const trace = Trace::current();
  if (trace == nullptr) return;
  TraceEvent exit("exit", 'i', pid, static_cast<std::uint32_t>(pid));
  exit.at(Trace::now());
  if (code) exit.arg(*code < 0 ? "signal" : "exitcode", *code < 0 ? -*code : *code);
  trace->add(std::move(exit));
}

std::string ending_text(int code) {
  if (code >= 0) return "exit code " + std::to_string(code);
  const char* const name = ::sigdescr_np(-code);
  return "signal " + std::to_string(-code) + (name != nullptr ? " (" + std::string(name) + ")" : "");
}

}  // namespace multiprocessing::process_
