#include "storm/crew.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>

#include "os/os.hpp"

namespace multiprocessing::storm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int threw = 99;  // exit code of a worker that has reported an exception

// For the handler of SIGALRM.
volatile pid_t pids[CrewBoard::positions];
volatile int positions_in_use = 0;
volatile bool hold_what_hangs = false;

void print_file(pid_t pid, const char* file) {
  char path[64];
  char text[512];
  std::snprintf(path, sizeof path, "/proc/%d/%s", static_cast<int>(pid), file);
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t length = fd >= 0 ? ::read(fd, text, sizeof text) : -1;
  std::fprintf(stderr, "  %s %.*s\n", path, static_cast<int>(std::max<ssize_t>(length, 0)), text);
  if (fd >= 0) ::close(fd);
}

void sleep_for(std::chrono::nanoseconds time) {
  const timespec wait{0, static_cast<long>(time.count())};
  ::nanosleep(&wait, nullptr);
}

}  // namespace

void Worker::violation(const std::string& text) {
  const std::uint64_t number = board_.violations.fetch_add(1);
  if (number < CrewBoard::texts) {
    std::snprintf(board_.text[number], sizeof board_.text[number], "worker %d: %s", position_, text.c_str());
  }
}

Crew::Crew(const Settings& settings, Report& report)
    : random(settings.seed),
      settings_(settings),
      report_(report),
      end_(Clock::now() + std::chrono::seconds(settings.seconds)) {
  hold_what_hangs = settings.hold;
  struct sigaction action {};
  action.sa_handler = dump_and_exit;
  ::sigaction(SIGALRM, &action, nullptr);
  os::set_subreaper();  // what a killed worker has forked becomes ours
}

Crew::~Crew() {
  ::alarm(0);
  positions_in_use = 0;
  for (const auto& operations : board_->operations) report_.operations += operations;
  const std::uint64_t violations = board_->violations;
  for (std::uint64_t i = 0; i < violations; ++i) report_.violation(i < CrewBoard::texts ? board_->text[i] : "");
}

int Crew::hire(Job job, Until until) {
  const int position = static_cast<int>(positions_.size());
  if (position == CrewBoard::positions) throw std::length_error("a crew has no more than 64 positions");
  Position& hired = positions_.emplace_back();
  hired.job = std::move(job);
  hired.until = until;
  hired.seen_at = Clock::now();
  positions_in_use = position + 1;
  start(position);
  return position;
}

void Crew::start(int position) {
  const Random seed(random.next());
  Position& at = positions_[static_cast<std::size_t>(position)];
  at.process = memory::fork_member();
  at.doomed = false;
  at.started_at = Clock::now();
  pids[position] = at.process.pid;
  if (at.process.pid != 0) return;

  os::set_parent_death_signal(SIGKILL);
  Worker me(*board_, position, seed);
  try {
    at.job(me);
  } catch (const std::exception& error) {
    me.violation(std::string("exception: ") + error.what());
    ::_exit(threw);
  }
  ::_exit(0);
}

bool Crew::storm(std::uint64_t kills, const std::function<void(int position)>& died) {
  const std::uint64_t limit =
      std::min<std::uint64_t>(report_.kills + kills, static_cast<std::uint64_t>(settings_.kills));
  if (random.one_in(4)) spare_some();
  while (report_.kills < limit && Clock::now() < end_) {
    ::alarm(static_cast<unsigned>(patience.count()));
    harass();
    reap(died);
    look_for_progress();
  }
  reap_the_doomed(died);
  return report_.kills < static_cast<std::uint64_t>(settings_.kills) && Clock::now() < end_;
}

// Half of the crew, one time in two: who is killed all the time hangs for a moment only.
void Crew::spare_some() {
  const bool any = random.one_in(2);
  for (Position& position : positions_) position.spared = any && random.one_in(2);
  positions_[random.below(positions_.size())].spared = false;
}

// Kills somebody, or stops somebody for a while; then a pause of random length.  Nobody is still stopped when this
// returns: the crew needs the arena's lock itself, and a stopped holder would keep it from ever being continued.
void Crew::harass() {
  Position* chosen = nullptr;
  do {
    chosen = &positions_[random.below(positions_.size())];
  } while (chosen->spared);
  Position& victim = *chosen;
  const int pidfd = victim.process.pidfd.get();
  if (random.one_in(8)) {
    os::pidfd_signal(pidfd, SIGSTOP);
    sleep_for(std::chrono::microseconds(random.below(5'000)));
    if (random.one_in(4)) {
      kill(victim);
    } else {
      os::pidfd_signal(pidfd, SIGCONT);
    }
  } else {
    kill(victim);
  }
  // Mostly short, to hit the work of the successor early too, and sometimes long enough for much to happen.
  sleep_for(std::chrono::microseconds(random.below(random.one_in(8) ? 8'000 : 800)));
}

void Crew::kill(Position& position) {
  os::pidfd_signal(position.process.pidfd.get(), SIGKILL);
  position.doomed = true;
}

void Crew::reap(const std::function<void(int position)>& died) {
  // Orphans of the dead first; that may take a worker too, whose pidfd tells us nevertheless.
  if (random.one_in(64)) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    memory::collect_orphans();
  }
  for (std::size_t i = 0; i < positions_.size(); ++i) {
    memory::Forked& process = positions_[i].process;
    os::Ending ending;
    if (!os::wait_ended(process.pidfd.get(), os::Deadline::passed())) continue;
    os::reap(process.pidfd.get(), ending);
    memory::reap_member(process.member);
    if (ending.known && ending.status != -SIGKILL && ending.status != threw) {
      report_.violation("worker " + std::to_string(i) + " ended by itself: " + std::to_string(ending.status));
    }
    ++report_.kills;
    if (died) died(static_cast<int>(i));
    start(static_cast<int>(i));
  }
}

// So that whoever works after the storm lives, and each death was told.
void Crew::reap_the_doomed(const std::function<void(int position)>& died) {
  for (const Position& position : positions_) {
    if (position.doomed) os::wait_ended(position.process.pidfd.get(), os::Deadline::never());
  }
  reap(died);
}

void Crew::look_for_progress() {
  const Clock::time_point now = Clock::now();
  for (std::size_t i = 0; i < positions_.size(); ++i) {
    Position& position = positions_[i];
    const std::uint64_t operations = board_->operations[i];
    if (operations != position.seen) {
      position.seen = operations;
      position.seen_at = now;
      continue;
    }
    report_.longest_standstill =
        std::max(report_.longest_standstill, now - std::max(position.seen_at, position.started_at));
    if (now - position.seen_at > patience / 2) {
      std::fprintf(stderr, "worker %zu: nothing done for %lld s\n", i, static_cast<long long>(patience.count() / 2));
      dump_and_exit(0);
    }
  }
}

void Crew::finish(Until until) {
  ::alarm(static_cast<unsigned>(patience.count()));
  for (std::size_t i = 0; i < positions_.size(); ++i) {
    memory::Forked& process = positions_[i].process;
    if (!process.pidfd || positions_[i].until != until) continue;
    os::wait_ended(process.pidfd.get(), os::Deadline::never());
    os::Ending ending;
    os::reap(process.pidfd.get(), ending);
    memory::reap_member(process.member);
    process.pidfd.reset();
    if (ending.known && ending.status != 0 && ending.status != threw) {
      report_.violation("worker " + std::to_string(i) + " ended with " + std::to_string(ending.status));
    }
  }
}

void Crew::call_it_over() {
  board_->over = true;
  finish(Until::over);
}

void Crew::dismiss() {
  finish(Until::end);
  positions_.clear();
  positions_in_use = 0;
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
  memory::collect_orphans();
  ::alarm(0);
}

void Crew::dump_and_exit(int /*signal*/) {
  std::fprintf(stderr, "HANG.  What the workers are doing (state, system call, where in the kernel):\n");
  for (int i = 0; i < positions_in_use; ++i) {
    const pid_t pid = pids[i];
    std::fprintf(stderr, "worker %d, pid %d\n", i, static_cast<int>(pid));
    for (const char* file : {"stat", "syscall", "wchan"}) print_file(pid, file);
  }
  while (hold_what_hangs) ::pause();
  for (int i = 0; i < positions_in_use; ++i) ::kill(pids[i], SIGKILL);
  ::_exit(1);
}

}  // namespace multiprocessing::storm
