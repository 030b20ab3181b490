#include "sweep/sweep.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "memory/family.hpp"
#include "support/arena_check.hpp"
#include "support/shared.hpp"
#include "sweep/stepped.hpp"

namespace multiprocessing::sweep {
namespace {

constexpr unsigned patience = 30;  // seconds for one death and what follows it
constexpr std::uint64_t enough = 10;  // violations: what comes after them says nothing new, and a hang takes its time

// What a hang would be told with.
const char* volatile current_operation = "";
volatile std::uint64_t current_point = 0;

void bark(int /*signal*/) {
  std::fprintf(stderr, "HANG: %s, killed after %llu instructions: no end for %u s\n", current_operation,
               static_cast<unsigned long long>(current_point), patience);
  ::_exit(1);
}

// What must be the same after a death as before it.
struct Memory {
  std::string damage;
  std::size_t members = 0;
  std::size_t objects = 0;
  std::uint64_t owned_bytes = 0;
  bool operator==(const Memory&) const = default;

  // Not Stats::heap_bytes: that counts whole slabs, and a slab stays when its last block goes.
  static Memory now() {
    testing::ArenaState arena = testing::look_at_arena();
    const memory::Stats stats = memory::stats();
    return {std::move(arena.damage), stats.members, stats.objects, arena.owned_bytes};
  }
  [[nodiscard]] std::string text() const {
    return std::to_string(members) + " members, " + std::to_string(objects) + " objects, " +
           std::to_string(owned_bytes) + " bytes " + damage;
  }
};

class Sweep {
 public:
  explicit Sweep(const Operation& operation) : operation_(operation), before_(Memory::now()) {}

  Report run(std::uint64_t stride) {
    survey();
    for (std::uint64_t point = 0; point < trace_.length(); point += stride) kill_twice(point);
    kill_twice(trace_.length());
    return report_;
  }

 private:
  // How long the operation is, and where it goes.  Not the first time, which makes slabs that stay.
  void survey() {
    for (Trace* trace : {&first_trace_, &trace_}) {
      die([trace](Stepped& child) { return child.step_to_end(*trace), true; }, false);
    }
    report_.length = trace_.length();
    report_.commit = -1;
  }

  void kill_twice(std::uint64_t point) {
    current_point = point_ = point;
    ++report_.points;
    if (report_.violations >= enough) return;
    for (const bool reap_first : {false, true}) {
      die([&](Stepped& child) { return child.run_to(point, trace_); }, reap_first);
    }
  }

  template <class Live>
  void die(Live live, bool reap_first) {
    ::alarm(patience);
    Check check;
    std::string where;
    {
      const std::unique_ptr<Scenario> scenario = operation_.make();
      returned_->store(false);
      Stepped child(*scenario, *returned_);
      scenario->together();
      const bool on_trace = live(child);
      report_.strays += on_trace ? 0 : 1;
      if (!on_trace) check.strayed = true;
      child.kill();
      where = child.where();
      check.that(child.failure().empty(), child.failure());
      if (reap_first) memory::reap_member(child.id());
      scenario->survivors({*returned_, reap_first}, check);
      if (!reap_first) {
        const std::string damage = testing::arena_damage();
        check.that(damage == before_.damage, "before it was reaped:" + damage);
        memory::reap_member(child.id());
      }
    }
    ++report_.deaths;
    compare_memory(check);
    look_at_effect(check);
    for (const std::string& violation : check.violations) tell(violation, reap_first, where);
  }

  // A violation is told once, and not again of each death that follows it.
  void compare_memory(Check& check) {
    Memory now = Memory::now();
    check.that(now == before_, "left behind: " + now.text() + "; before: " + before_.text());
    before_ = std::move(now);
  }

  void look_at_effect(Check& check) {
    if (!check.has_effect || check.strayed) return;
    if (check.effect_there && report_.commit < 0) report_.commit = static_cast<std::int64_t>(point_);
    check.that(check.effect_there || report_.commit < 0,
               "the effect is not there, and was there after " + std::to_string(report_.commit) + " instructions");
  }

  void tell(const std::string& violation, bool reap_first, const std::string& where) {
    ++report_.violations;
    if (report_.messages.size() >= enough) return;
    report_.messages.push_back("after " + std::to_string(point_) + " instructions" +
                               (reap_first ? ", reaped first" : "") + ", at " + where + ": " + violation);
  }

  const Operation& operation_;
  Memory before_;
  Report report_;
  Trace first_trace_;
  Trace trace_;
  std::uint64_t point_ = 0;
  testing::Shared<std::atomic<bool>> returned_;
};

}  // namespace

Report sweep(const Operation& operation, std::uint64_t stride) {
  struct sigaction action {};
  action.sa_handler = bark;
  ::sigaction(SIGALRM, &action, nullptr);
  current_operation = operation.name;
  current_point = 0;
  Report report = Sweep(operation).run(stride);
  ::alarm(0);
  return report;
}

}  // namespace multiprocessing::sweep
