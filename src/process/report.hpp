// What the log and the trace are told of processes.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace multiprocessing::process_ {

// Before a fork: the trace is begun by the parent, and a program that has threads is told so, once.
void report_fork() noexcept;
// In the parent.
void report_start(const std::string& name, pid_t pid) noexcept;
// code: exit code, or -signal; empty: not known.
void report_end(const std::string& name, pid_t pid, std::optional<int> code) noexcept;

// "exit code 3", "signal 9 (Killed)".
[[nodiscard]] std::string ending_text(int code);

}  // namespace multiprocessing::process_
