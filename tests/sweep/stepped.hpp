// Stepped: a child of the family that runs one instruction after the other.
//
//   Trace trace;
//   Stepped first(scenario, returned);      // stands before its first instruction
//   first.step_to_end(trace);               // notes each instruction that it executes
//   Stepped child(scenario, returned);
//   child.run_to(4'711, trace);             // stands after so many, or at its end if that comes first
//   child.kill();                           // and is reaped as a process; as a member by whoever wants to
//
// A step costs 2 µs on a machine and ten times that on a virtual one, which would make a sweep of 5,000 instructions
// last for hours: 12 million steps.  So run_to() lets the child run freely to a breakpoint, at the last instruction
// before the wanted one that the trace has for the first time, and steps only from there.  (The first time, because
// breakpoints cannot count the turns of a `rep`.)
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "memory/family.hpp"
#include "sweep/sweep.hpp"

namespace multiprocessing::sweep {

// Where a child stood after 0, 1, 2 … instructions.
struct Trace {
  std::vector<std::uintptr_t> at;
  std::vector<std::uint64_t> fresh;  // the last number up to this one whose address had not been there before

  void note(std::uintptr_t address);
  [[nodiscard]] std::uint64_t length() const { return at.size() - 1; }

 private:
  std::unordered_set<std::uintptr_t> seen_;
};

class Stepped {
 public:
  Stepped(Scenario& scenario, std::atomic<bool>& returned);
  ~Stepped();
  Stepped(const Stepped&) = delete;
  Stepped& operator=(const Stepped&) = delete;

  void step_to_end(Trace& trace);
  // False: it has taken another way than the trace, and stands somewhere, or at its end.
  bool run_to(std::uint64_t instruction, const Trace& trace);
  void kill();

  [[nodiscard]] memory::MemberId id() const { return process_.member; }
  [[nodiscard]] std::string where() const;  // it stands, or stood when it was killed
  [[nodiscard]] const std::string& failure() const { return failure_; }  // empty: it did nothing on its own

  // Why this process may not trace its children; empty: it may.
  static std::string why_not();

 private:
  [[noreturn]] static void run(Scenario& scenario, std::atomic<bool>& returned);
  int wait_for_stop();
  int resume(int request);
  bool step(std::uint64_t instructions);
  bool run_to_breakpoint(std::uintptr_t address);
  [[nodiscard]] std::uintptr_t address() const;

  memory::Forked process_;
  bool running_ = true;
  std::uintptr_t at_ = 0;
  std::string failure_;
};

}  // namespace multiprocessing::sweep
