// mp_sweep: one operation, killed after every single instruction of it.
//
//   mp_sweep --operation put --stride 1       put.empty, put.middle …;  --operation put.link: that one;  default: all
//
//   struct GetLast : Scenario {
//     Queue<int> queue;                                   // the constructor brings it into the state in question
//     GetLast() { queue.put(1); }
//     void operation() override { std::ignore = queue.get(); }     // in a child, which is killed in it
//     void survivors(const Death& death, Check& check) override { … }     // in another process of the family
//   };
//   …  Operation::of<GetLast>("get.last")                 // in the table of its file
//
// For N = 0, stride, 2 · stride … a scenario is made, a child forked from it is single-stepped by ptrace through its
// operation and killed by SIGKILL after the Nth instruction (a system call, and each turn of a `rep`, is one), until
// the operation comes to its end.  Each N twice: the dead one is reaped after the survivors have gone on, or before.
// Then the scenario goes, and the arena must agree with itself and hold what it held before.
//
// Which instructions: those between two stops that the child makes itself (SIGSTOP), so neither fork nor preparation.
// The dynamic loader is not among them: mp_sweep runs itself again with LD_BIND_NOW set (a warm-up in the parent would
// do too, but a parent cannot run an operation that leaves a lock held).  The fork is the cost of a point, so the
// parent is small: no threads, no test framework.  All run on one core, where a step costs 2 µs and not 40; so nobody
// spins, and the same N is the same instruction in each run, but for loops that read the clock.
//
// Exit status: 0 clean, 1 violations, 77 where ptrace is not permitted.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace multiprocessing::sweep {

struct Death {
  bool returned = false;  // operation() had returned before the child died
  bool reaped = false;    // the dead one is reaped already
};

// What the survivors say.
class Check {
 public:
  void that(bool holds, const std::string& what) {
    if (!holds) violations.push_back(what);
  }
  // Whether the operation has had its effect.  It commits by one store: so after N instructions or not, but never
  // again not after more of them.
  void effect(bool there) {
    has_effect = true;
    effect_there = there;
  }

  std::vector<std::string> violations;
  bool has_effect = false;
  bool effect_there = false;
  bool strayed = false;  // the child was killed somewhere else: how many instructions it was is not known
};

// Constructor, together() and survivors() run in the parent, before() and operation() in the child.
class Scenario {
 public:
  Scenario() = default;
  virtual ~Scenario() = default;
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;

  virtual void before() {}    // what the child does before its first instruction counts
  virtual void together() {}  // what the parent does when the child stands there
  virtual void operation() = 0;
  virtual void survivors(const Death& death, Check& check) = 0;
};

struct Operation {
  const char* name;  // what.in_which_state
  std::unique_ptr<Scenario> (*make)();

  template <class S>
  static constexpr Operation of(const char* name) {
    return {name, []() -> std::unique_ptr<Scenario> { return std::make_unique<S>(); }};
  }
};

// The tables, one per file.
std::span<const Operation> lock_operations();
std::span<const Operation> event_operations();
std::span<const Operation> arena_operations();
std::span<const Operation> put_operations();
std::span<const Operation> get_operations();
std::span<const Operation> synchronize_operations();
std::span<const Operation> shared_memory_operations();

struct Report {
  std::uint64_t points = 0;
  std::uint64_t deaths = 0;
  std::uint64_t strays = 0;  // deaths somewhere else, because the child took another way than the one before it
  std::uint64_t violations = 0;
  std::uint64_t length = 0;             // instructions of the operation
  std::int64_t commit = -1;             // the first N with the effect there
  std::vector<std::string> messages{};  // of the first violations
};

Report sweep(const Operation& operation, std::uint64_t stride);

}  // namespace multiprocessing::sweep
