#include "os/faults.hpp"

#ifdef MULTIPROCESSING_TESTING

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

namespace multiprocessing::os {
namespace {

struct Plan {
  std::atomic<int> error{0};
  std::atomic<int> pass{0};
  std::atomic<int> times{0};
};
std::array<Plan, static_cast<std::size_t>(Call::count_)> plans;

// Fixed storage: reached() runs in children of multi-threaded programs, where nothing may allocate.
char armed_step[96];
std::atomic<int> armed_left{0};
int armed_signal = SIGKILL;

void arm(std::string_view step, int nth, int signal) {
  const std::size_t length = step.copy(armed_step, sizeof armed_step - 1);
  armed_step[length] = '\0';
  armed_signal = signal;
  armed_left.store(nth);
}

constexpr char environment_variable[] = "MULTIPROCESSING_KILL_AT";  // "nth:step"

// Before anything that has steps: see join_at_start() in process/before_main.cpp.
__attribute__((constructor(101))) void arm_by_environment() {
  const char* const plan = ::getenv(environment_variable);
  const char* const colon = plan != nullptr ? std::strchr(plan, ':') : nullptr;
  if (colon != nullptr) arm(colon + 1, std::atoi(plan), SIGKILL);
}

}  // namespace

namespace faults {

void fail(Call call, int error, int pass, int times) {
  Plan& plan = plans[static_cast<std::size_t>(call)];
  plan.error = error;
  plan.pass = pass;
  plan.times = times;
}

void clear() {
  for (Plan& plan : plans) plan.times = 0;
}

}  // namespace faults

namespace steps {

void kill_at(std::string_view step, int nth) { arm(step, nth, SIGKILL); }
void stop_at(std::string_view step, int nth) { arm(step, nth, SIGSTOP); }
void kill_executed_at(std::string_view step, int nth) {
  const std::string plan = std::to_string(nth) + ':' + std::string(step);
  ::setenv(environment_variable, plan.c_str(), 1);
}
void clear() {
  armed_left = 0;
  ::unsetenv(environment_variable);
}

void reached(const char* step) noexcept {
  if (armed_left.load(std::memory_order_relaxed) <= 0 || std::strcmp(step, armed_step) != 0) return;
  if (armed_left.fetch_sub(1) == 1) ::kill(::getpid(), armed_signal);
}

}  // namespace steps

int injected(Call call) noexcept {
  Plan& plan = plans[static_cast<std::size_t>(call)];
  if (plan.times.load(std::memory_order_relaxed) <= 0) return 0;
  if (plan.pass.fetch_sub(1) > 0) return 0;
  return plan.times.fetch_sub(1) > 0 ? plan.error.load() : 0;
}

}  // namespace multiprocessing::os

#endif
