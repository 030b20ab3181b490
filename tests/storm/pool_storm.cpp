// Pools whose workers are killed and stopped at random while tasks of all kinds run: single calls, map, imap in both
// orders.  Now and then a pool ends by terminate(), or by the death of its supervisor.
//
// Invariants: each task has one verdict, its right result or WorkerDied; there are no more WorkerDied than workers
// killed; no task runs twice, one with a result has run once; only after its supervisor was killed does a pool
// give PoolBroken; after the end there is no process left.  In the storm of retries each task has its result.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.hpp"
#include "memory/family.hpp"
#include "multiprocessing/pool.hpp"
#include "os/os.hpp"
#include "storm/storm.hpp"
#include "support/shared.hpp"

namespace multiprocessing::storm {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t most_tasks = 1 << 18;  // of a pool
constexpr int workers = 4;

struct Board {
  std::array<std::atomic<std::uint8_t>, most_tasks> runs;
};
Board* board = nullptr;

std::string result_of(std::uint64_t task) {
  Random random(task);
  std::string result(random.one_in(200) ? random.below(200'000) : random.below(100), '\0');
  for (char& c : result) c = static_cast<char>(random.next());
  return result;
}

std::string run_task(std::uint64_t task) {
  board->runs[task].fetch_add(1);
  Random random(~task);
  const auto end = Clock::now() + std::chrono::microseconds(random.one_in(4) ? random.below(500) : 0);
  while (Clock::now() < end) {
  }
  return result_of(task);
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  const std::string path = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children";
  const base::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t length = file ? ::read(file.get(), text, sizeof text - 1) : 0;
  text[std::max<ssize_t>(length, 0)] = '\0';
  for (char* at = text; *at != '\0';) {
    children.push_back(static_cast<pid_t>(std::strtol(at, &at, 10)));
    while (*at == ' ' || *at == '\n') ++at;
  }
  return children;
}

// Kills and stops the workers of one pool, from a thread, until it is destroyed.
class Killer {
 public:
  // `tasks_per_kill`: waits with each kill until so many tasks are counted by did().
  Killer(pid_t supervisor, std::uint64_t seed, std::uint64_t most, std::uint64_t tasks_per_kill = 0)
      : supervisor_(supervisor), random_(seed), most_(most), tasks_per_kill_(tasks_per_kill), thread_([this] {
          run();
        }) {}
  ~Killer() {
    over_ = true;
    thread_.join();
  }
  Killer(const Killer&) = delete;
  Killer& operator=(const Killer&) = delete;

  [[nodiscard]] std::uint64_t kills() const { return kills_; }
  [[nodiscard]] bool is_done() const { return kills_ >= most_; }
  [[nodiscard]] bool supervisor_killed() const { return supervisor_killed_; }
  void did(std::uint64_t tasks) { tasks_ += tasks; }
  void kill_supervisor() {
    supervisor_killed_ = true;
    ::kill(supervisor_, SIGKILL);
  }

 private:
  void run() {
    while (!over_ && !is_done()) {
      std::this_thread::sleep_for(std::chrono::microseconds(random_.below(random_.one_in(8) ? 20'000 : 2'000)));
      const std::vector<pid_t> crew = children_of(supervisor_);
      if (crew.empty() || tasks_ < kills_ * tasks_per_kill_) continue;
      const pid_t victim = crew[random_.below(crew.size())];
      const base::Fd pidfd(os::pidfd_open(victim));
      // The descriptor first and a second look after it: the pid may have gone to a stranger meanwhile.
      if (!pidfd || std::ranges::count(children_of(supervisor_), victim) == 0) continue;
      if (random_.one_in(8)) {
        os::pidfd_signal(pidfd.get(), SIGSTOP);
        std::this_thread::sleep_for(std::chrono::microseconds(random_.below(5'000)));
        os::pidfd_signal(pidfd.get(), SIGCONT);
      } else {
        // Counted first: the verdict of the task may be there before we go on.
        ++kills_;
        if (os::pidfd_signal(pidfd.get(), SIGKILL) < 0) --kills_;
      }
    }
  }

  const pid_t supervisor_;
  Random random_;
  const std::uint64_t most_;
  const std::uint64_t tasks_per_kill_;
  std::atomic<std::uint64_t> tasks_{0};
  std::atomic<std::uint64_t> kills_{0};
  std::atomic<bool> supervisor_killed_{false};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

class Customer {
 public:
  Customer(Pool& pool, Report& report, Random random) : pool_(pool), report_(report), random_(random) {}

  // False: the pool is broken, or has had as many tasks as the board has room for.
  bool submit_some() {
    const std::size_t count = 1 + random_.below(random_.one_in(4) ? 2'000 : 100);
    if (next_ + count > most_tasks) return false;
    std::vector<std::uint64_t> tasks(count);
    for (std::uint64_t& task : tasks) task = next_++;
    switch (random_.below(4)) {
      case 0:
        calls(tasks);
        break;
      case 1:
        map(tasks);
        break;
      case 2:
        iterate(pool_.imap(run_task, tasks, {.chunksize = chunk()}), tasks, true);
        break;
      default:
        iterate(pool_.imap_unordered(run_task, tasks, {.chunksize = chunk()}), tasks, false);
        break;
    }
    return !broken;
  }

  void settle() {
    for (std::uint64_t task = 0; task < next_; ++task) {
      if (board->runs[task] > 1) report_.violation("task " + std::to_string(task) + " ran twice");
    }
  }

  std::uint64_t died = 0;  // WorkerDied, one for each task that failed by it
  bool broken = false;

 private:
  std::size_t chunk() { return random_.one_in(2) ? 1 : 1 + random_.below(30); }

  void check(std::uint64_t task, const std::string& result) {
    ++report_.operations;
    if (result != result_of(task)) report_.violation("a wrong result of task " + std::to_string(task));
    if (board->runs[task] == 0) report_.violation("a result of task " + std::to_string(task) + ", which never ran");
  }

  // Of one verdict.  The text is what makes a death a task's own.
  void verdict(const std::function<void()>& take) {
    try {
      take();
    } catch (const WorkerDied& death) {
      ++died;
      if (death.signal() != SIGKILL) report_.violation(std::string("a worker died otherwise: ") + death.what());
    } catch (const PoolBroken&) {
      broken = true;
    }
  }

  void calls(const std::vector<std::uint64_t>& tasks) {
    std::vector<AsyncResult<std::string>> results;
    for (const std::uint64_t task : tasks) {
      verdict([&] { results.push_back(pool_.apply_async(run_task, task)); });
      if (broken) return;
    }
    for (std::size_t i = 0; i < results.size(); ++i) verdict([&] { check(tasks[i], results[i].get()); });
  }

  // Of all the deaths in a map() only the first is thrown.
  void map(const std::vector<std::uint64_t>& tasks) {
    verdict([&] {
      const std::vector<std::string> results = pool_.map(run_task, tasks, {.chunksize = chunk()});
      if (results.size() != tasks.size()) return report_.violation("map() gave too few results");
      for (std::size_t i = 0; i < tasks.size(); ++i) check(tasks[i], results[i]);
    });
  }

  // The death of a chunk comes once for each of its items, so only whole sequences without one count here.
  template <class Results>
  void iterate(Results results, const std::vector<std::uint64_t>& tasks, bool ordered) {
    std::size_t seen = 0;
    std::size_t failed = 0;
    std::vector<std::string> got;
    auto at = std::optional<decltype(results.begin())>();
    const auto step = [&](const std::function<void()>& move) {
      try {
        move();
        return true;
      } catch (const WorkerDied&) {
        ++failed;
      } catch (const PoolBroken&) {
        broken = true;
      }
      return false;
    };
    const auto end = results.end();
    while (!broken && seen + failed < tasks.size()) {
      const bool moved = step([&] {
        if (at) {
          ++*at;
        } else {
          at.emplace(results.begin());
        }
      });
      if (!moved) continue;
      if (*at == end) break;
      if (ordered && failed == 0) check(tasks[seen], **at);
      if (!ordered) got.push_back(**at);
      ++seen;
    }
    if (broken) return;
    if (seen + failed != tasks.size()) report_.violation("imap() ended early");
    if (!ordered && failed == 0) compare_unordered(std::move(got), tasks);
  }

  void compare_unordered(std::vector<std::string> got, const std::vector<std::uint64_t>& tasks) {
    std::vector<std::string> expected;
    for (const std::uint64_t task : tasks) expected.push_back(result_of(task));
    std::ranges::sort(expected);
    std::ranges::sort(got);
    report_.operations += tasks.size();
    if (got != expected) report_.violation("imap_unordered() gave other results");
  }

  Pool& pool_;
  Report& report_;
  Random random_;
  std::uint64_t next_ = 0;
};

// The supervisor of a pool that was made when `before` were the children of this process; 0: not to be found.
pid_t supervisor_since(const std::vector<pid_t>& before) {
  for (const pid_t child : children_of(::getpid())) {
    if (std::ranges::count(before, child) == 0) return child;
  }
  return 0;
}

// One pool from its first task to its end.
void round(Random& random, Report& report, std::uint64_t kills, Clock::time_point end) {
  const testing::Shared<Board> fresh;
  board = &*fresh;
  const std::vector<pid_t> before = children_of(::getpid());
  Pool pool(workers);
  const pid_t supervisor = supervisor_since(before);
  if (supervisor == 0) return report.violation("cannot find the supervisor of the pool");

  Killer killer(supervisor, random.next(), kills);
  Customer customer(pool, report, Random(random.next()));
  const bool dies = random.one_in(8);
  while (!killer.is_done() && Clock::now() < end && customer.submit_some()) {
    ::alarm(120);
    if (dies && killer.kills() > kills / 2) killer.kill_supervisor();
  }
  report.kills += killer.kills();
  if (customer.broken && !killer.supervisor_killed()) report.violation("a pool is broken, and its supervisor lives");
  if (customer.died > killer.kills()) {
    report.violation(std::to_string(customer.died) + " tasks failed by " + std::to_string(killer.kills()) + " deaths");
  }
  customer.settle();
  if (random.one_in(4)) pool.terminate();
  pool.close();
  pool.join();
}

std::uint64_t short_task(std::uint64_t task) {
  Random random(task);
  const auto end = Clock::now() + std::chrono::microseconds(random.one_in(8) ? random.below(200) : 0);
  while (Clock::now() < end) {
  }
  return random.next();
}

// Tasks that are tried again until they succeed: each has its result, whoever dies.
void do_some(Pool& pool, Random& random, Report& report, std::vector<std::uint64_t>& tasks) {
  constexpr int enough = 1'000;
  const std::size_t chunk = random.one_in(2) ? 1 : 1 + random.below(30);
  std::vector<std::uint64_t> results;
  switch (random.below(3)) {
    case 0: {
      std::vector<AsyncResult<std::uint64_t>> calls;
      for (const std::uint64_t task : tasks) calls.push_back(pool.apply_async({.retries = enough}, short_task, task));
      for (const auto& call : calls) results.push_back(call.get());
      break;
    }
    case 1:
      results = pool.map(short_task, tasks, {.chunksize = chunk, .retries = enough});
      break;
    default:
      for (const std::uint64_t result : pool.imap(short_task, tasks, {.chunksize = chunk, .retries = enough})) {
        results.push_back(result);
      }
  }
  if (results.size() != tasks.size()) return report.violation("tasks and results are not as many");
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (results[i] != short_task(tasks[i])) report.violation("a wrong result of task " + std::to_string(tasks[i]));
  }
  report.operations += tasks.size();
}

void hang(int /*signal*/) {
  constexpr char text[] = "HANG: nothing done by the pool for 120 s\n";
  if (::write(STDERR_FILENO, text, sizeof text - 1) > 0) ::abort();
}

void watch_for_hangs() {
  struct sigaction action {};
  action.sa_handler = hang;
  ::sigaction(SIGALRM, &action, nullptr);
}

}  // namespace

void retries_storm(const Settings& settings, Report& report) {
  os::set_subreaper();
  watch_for_hangs();
  const auto end = Clock::now() + std::chrono::seconds(settings.seconds);
  Random random(settings.seed);
  const std::vector<pid_t> before = children_of(::getpid());
  Pool pool({.processes = workers, .max_restarts = ~std::size_t{0}});
  const pid_t supervisor = supervisor_since(before);
  if (supervisor == 0) return report.violation("cannot find the supervisor of the pool");
  Killer killer(supervisor, random.next(), static_cast<std::uint64_t>(settings.kills), 50);
  std::uint64_t next = 0;
  try {
    while (!killer.is_done() && Clock::now() < end) {
      ::alarm(120);
      std::vector<std::uint64_t> tasks(1 + random.below(2'000));
      for (std::uint64_t& task : tasks) task = next++;
      do_some(pool, random, report, tasks);
      killer.did(tasks.size());
    }
  } catch (const Error& error) {
    report.violation(std::string("a task failed: ") + error.what());
  }
  report.kills = killer.kills();
  report.tallies["tries after the first"] = pool.stats().retried;
  pool.close();
  pool.join();
  ::alarm(0);
}

void pool_storm(const Settings& settings, Report& report) {
  os::set_subreaper();
  watch_for_hangs();
  const auto end = Clock::now() + std::chrono::seconds(settings.seconds);
  Random random(settings.seed);
  while (report.kills < static_cast<std::uint64_t>(settings.kills) && Clock::now() < end) {
    const std::uint64_t left = static_cast<std::uint64_t>(settings.kills) - report.kills;
    round(random, report, std::min<std::uint64_t>(left, 100), end);
    ++report.tallies["pools"];
  }
  // What killed supervisors have left ends by itself; it is ours to reap.
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
  memory::collect_orphans();
  ::alarm(0);
}

}  // namespace multiprocessing::storm
