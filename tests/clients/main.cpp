// mp_clients: many processes at once as clients of a remote manager, half of them killed in the middle of what they do.
//
//   mp_clients --clients 1000 --rounds 2
//
// Afterwards every lock and every unit can be had, the others have finished their work, and the server has what it had
// before: descriptors, objects, and memory (from the second round on: before that it grows to its working size).
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "memory/family.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/manager.hpp"
#include "os/programs.hpp"

namespace {

namespace mp = multiprocessing;
using Clock = std::chrono::steady_clock;

const std::string key = "a key of sixteen bytes or more";
constexpr int locks = 16;
constexpr int units = 64;
constexpr int updates = 20;

struct Plan {
  int clients = 1000;
  int rounds = 2;
  std::string address = "tcp://127.0.0.1:0";
};

struct Usage {
  std::size_t resident_kib = 0;
  std::size_t descriptors = 0;
  std::size_t objects = 0;  // of the family's memory: one for each that is served
};

Usage usage_of(pid_t server) {
  Usage usage;
  std::ifstream status("/proc/" + std::to_string(server) + "/status");
  for (std::string word; status >> word;) {
    if (word == "VmRSS:") status >> usage.resident_kib;
  }
  if (DIR* const folder = ::opendir(("/proc/" + std::to_string(server) + "/fd").c_str())) {
    while (::readdir(folder) != nullptr) ++usage.descriptors;
    ::closedir(folder);
  }
  usage.objects = mp::memory::stats().objects;
  return usage;
}

void say(const char* when, const Usage& usage) {
  std::printf("%-28s %8zu KiB resident  %6zu descriptors  %6zu objects\n", when, usage.resident_kib, usage.descriptors,
              usage.objects);
  std::fflush(stdout);
}

// What parent and clients tell each other: the end of `go` is the order to finish.
struct Pipes {
  int ready[2];
  int go[2];
};

void say_ready(const Pipes& pipes) {
  const char byte = 'r';
  static_cast<void>(!::write(pipes.ready[1], &byte, 1));
}
void await_end(int fd) {
  char none = 0;
  while (::read(fd, &none, 1) > 0) {
  }
}

// One that is to be killed: holding a lock or a unit, in the middle of an update, waiting for what does not come.
void victim(const mp::RemoteManager& remote, int number, const Pipes& pipes) {
  const auto mine = remote.dict<int, std::string>();
  for (int i = 0; i < 10; ++i) mine.set(i, std::string(1000, 'x'));
  switch (number % 6) {
    case 0:
      static_cast<void>(remote.lock("lock" + std::to_string(number / 6 % locks)).acquire(std::chrono::milliseconds(1)));
      say_ready(pipes);
      break;
    case 1: {
      const auto some = remote.semaphore(units, "units");
      static_cast<void>(some.acquire(std::chrono::milliseconds(1)));
      say_ready(pipes);
      break;
    }
    case 2:
      remote.dict<int, int>("entries").update(
          number,
          [&](int& n) {
            n = 1;
            say_ready(pipes);
            await_end(pipes.go[0]);
          },
          0);
      break;
    case 3:
      say_ready(pipes);
      static_cast<void>(remote.queue<int>("empty").get());
      break;
    case 4:
      say_ready(pipes);
      try {
        remote.barrier(1'000'000, "barrier").wait();
      } catch (const mp::BrokenBarrier&) {  // another victim was killed before
      }
      break;
    default:
      say_ready(pipes);
      static_cast<void>(remote.queue<std::string>("full", 1).put("x"));
      break;
  }
  await_end(pipes.go[0]);
}

void survivor(const mp::RemoteManager& remote, int number, const Pipes& pipes) {
  const auto counts = remote.dict<int, int>("counts");
  const auto lock = remote.lock("lock" + std::to_string(number % locks));
  say_ready(pipes);
  await_end(pipes.go[0]);  // until the others have been killed
  for (int i = 0; i < updates; ++i) {
    const std::scoped_lock hold(lock);
    counts.update(number % 8, [](int& n) { ++n; }, 0);
  }
}

pid_t start(const std::string& address, int number, const Pipes& pipes) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::close(pipes.go[1]);
  try {
    const mp::RemoteManager remote(address, key);
    number % 2 == 0 ? survivor(remote, number, pipes) : victim(remote, number / 2, pipes);
    ::_exit(0);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "client %d: %s\n", number, e.what());
    ::_exit(1);
  }
}

bool check(bool holds, const char* what) {
  if (!holds) std::printf("FAILED: %s\n", what);
  return holds;
}

// Afterwards, what the dead had is there.
bool all_is_released(const mp::RemoteManager& remote) {
  for (int i = 0; i < locks; ++i) {
    const auto lock = remote.lock("lock" + std::to_string(i));
    lock.acquire();
    lock.release();
  }
  const auto some = remote.semaphore(units, "units");
  for (int i = 0; i < units; ++i) some.acquire();
  bool good = check(some.get_value() == 0, "the semaphore has as many units as it began with");
  for (int i = 0; i < units; ++i) some.release();
  const auto entries = remote.dict<int, int>("entries");
  for (const auto& [entry, value] : entries.copy()) {
    good = check(value == 0, "an update that was not finished has changed nothing") && good;
    static_cast<void>(entries.update(entry, [](int& n) { return n; }));
  }
  entries.clear();
  return good;
}

bool round(const mp::Manager& manager, const mp::RemoteManager& remote, const Plan& plan) {
  const auto counts = remote.dict<int, int>("counts");
  counts.clear();
  const Usage before = usage_of(manager.pid());
  Pipes pipes{};
  if (::pipe(pipes.ready) != 0 || ::pipe(pipes.go) != 0) throw std::runtime_error("pipe");
  const auto begun = Clock::now();
  std::vector<pid_t> clients;
  for (int i = 0; i < plan.clients; ++i) clients.push_back(start(manager.address(), i, pipes));
  ::close(pipes.ready[1]);
  int ready = 0;
  for (char byte = 0; ready < plan.clients && ::read(pipes.ready[0], &byte, 1) == 1;) ++ready;
  const auto there = Clock::now();
  bool good = check(ready == plan.clients, "all clients are there");
  const Usage busy = usage_of(manager.pid());
  say("all there", busy);
  good = check(busy.descriptors >= static_cast<std::size_t>(plan.clients), "each has a connection") && good;

  for (std::size_t i = 1; i < clients.size(); i += 2) ::kill(clients[i], SIGKILL);
  for (std::size_t i = 1; i < clients.size(); i += 2) ::waitpid(clients[i], nullptr, 0);
  good = all_is_released(remote) && good;
  const auto released = Clock::now();
  ::close(pipes.go[0]);
  ::close(pipes.go[1]);
  for (std::size_t i = 0; i < clients.size(); i += 2) {
    int status = 0;
    ::waitpid(clients[i], &status, 0);
    good = check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the others have done their work") && good;
  }
  ::close(pipes.ready[0]);
  int total = 0;
  for (const auto& [entry, count] : counts.copy()) total += count;
  good = check(total == (plan.clients + 1) / 2 * updates, "and none of it is lost") && good;
  counts.clear();

  Usage after = usage_of(manager.pid());
  const auto patience = Clock::now() + std::chrono::seconds(60);
  while ((after.descriptors > before.descriptors || after.objects > before.objects) && Clock::now() < patience) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    after = usage_of(manager.pid());
  }
  say("after", after);
  good = check(after.descriptors <= before.descriptors, "descriptors are back") && good;
  good = check(after.objects <= before.objects, "objects are back") && good;
  const auto ms = [](auto from, auto to) {
    return static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(to - from).count());
  };
  std::printf("%d clients there after %lld ms; what %d dead had was released %lld ms later\n", plan.clients,
              ms(begun, there), plan.clients / 2, ms(there, released));
  return good;
}

int main_of(int argc, char** argv) {
  Plan plan;
  CLI::App app("Many clients of one remote manager, half of them killed", "mp_clients");
  app.add_option("--clients", plan.clients, "processes at once")->capture_default_str();
  app.add_option("--rounds", plan.rounds, "so often")->capture_default_str();
  app.add_option("--address", plan.address, "where the manager listens")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  mp::os::raise_descriptor_limit();
  const mp::Manager manager({.address = plan.address, .authkey = key});
  const mp::RemoteManager remote(manager.address(), key);
  // Objects that stay, with one of each kind that the clients use.
  for (int i = 0; i < locks; ++i) static_cast<void>(remote.lock("lock" + std::to_string(i)));
  static_cast<void>(remote.semaphore(units, "units"));
  static_cast<void>(remote.dict<int, int>("entries"));
  static_cast<void>(remote.dict<int, int>("counts"));
  static_cast<void>(remote.queue<int>("empty"));
  static_cast<void>(remote.barrier(1'000'000, "barrier"));
  remote.queue<std::string>("full", 1).put("x");
  say("before", usage_of(manager.pid()));
  bool good = true;
  std::size_t settled = 0;
  for (int i = 0; i < plan.rounds; ++i) {
    if (i > 0) remote.barrier(1'000'000, "barrier").reset();
    good = round(manager, remote, plan) && good;
    const std::size_t now = usage_of(manager.pid()).resident_kib;
    if (i == 0) settled = now;
    good = check(now <= settled + 1024, "the server's memory is what it was after the first round") && good;
  }
  std::printf("%s\n", good ? "PASSED" : "FAILED");
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try { return main_of(argc, argv); } catch (const std::exception& e) {
  std::fprintf(stderr, "mp_clients: %s\n", e.what());
  return 2;
}
