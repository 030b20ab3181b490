#include "os/faults.hpp"

#ifdef MULTIPROCESSING_TESTING

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>

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
void clear() { armed_left = 0; }

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
