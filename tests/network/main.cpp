// mp_network: the two sides of scripts/check-network, which cuts the line between them.
//
//   mp_network serve ADDRESS          a manager with a queue, a dict and a lock; says when the lock is to be had
//   mp_network work ADDRESS SECONDS   uses them all the time, for so long a cut; expects what manager.hpp says of it
//
// Both are told by lines of standard input what has happened meanwhile: "cut", "back", "end".
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/manager.hpp"
#include "os/os.hpp"
#include "os/sockets.hpp"
#include "wire/door.hpp"
#include "wire/wire.hpp"

#include <poll.h>

namespace {

namespace mp = multiprocessing;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

const std::string key = "a key of sixteen bytes or more";

double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

std::string told() {
  std::string word;
  std::getline(std::cin, word);
  return word;
}

int serve(const std::string& address) {
  const mp::Manager manager({.address = address, .authkey = key});
  const auto lock = manager.lock("lock");
  const auto jobs = manager.queue<int>("jobs");
  std::printf("serving\n");
  std::fflush(stdout);
  if (told() != "cut") return 1;
  const auto cut = Clock::now();
  // Who holds it is on the other side.  It is to be had when he is taken for dead.
  std::thread waiting([&] {
    lock.acquire();
    std::printf("serve: the lock could be had %.1f s after the cut; its holder %s\n", seconds(Clock::now() - cut),
                lock.owner_died() ? "was taken for dead" : "has released it");
    std::fflush(stdout);
    lock.release();
  });
  if (told() != "back") return 1;
  jobs.put(1);
  if (told() != "end") return 1;
  waiting.join();
  return 0;
}

// A stranger without TLS is sent away: the reason is in the server's log, and here the end of the line.
bool plain_is_refused(const std::string& address) {
  mp::os::SocketAddress at;
  const mp::os::PrivateFd socket = mp::wire::connect(mp::wire::Address::parse(address), mp::detail::Deadline::after(10s), at);
  mp::wire::Wire plain(mp::wire::Role::client, {.key = key});
  const auto hello = plain.take_outgoing();
  mp::os::write_some(socket.get(), hello);
  std::byte buffer[256];
  for (;;) {
    pollfd look{socket.get(), POLLIN, 0};
    mp::os::poll({&look, 1}, mp::detail::Deadline::after(10s));
    const int count = mp::os::read_some(socket.get(), buffer);
    if (count <= 0) return count == 0 || count == -ECONNRESET;
    try {
      plain.received(std::span(buffer).first(static_cast<std::size_t>(count)));
      if (plain.established()) return false;
    } catch (const mp::Error&) {
      return true;
    }
  }
}

class Tally {
 public:
  explicit Tally(const char* name) : name_(name) {}
  template <class Call>
  void time(const Call& call) {
    const auto begun = Clock::now();
    std::string error;
    try {
      call();
    } catch (const mp::ManagerDied& e) {
      error = e.what();
    }
    const std::lock_guard lock(mutex_);
    ++calls_;
    longest_ = std::max(longest_, Clock::now() - begun);
    if (error.empty()) return;
    ++errors_;
    last_ = error;
  }
  void report() const {
    std::printf("%-28s %7d calls, %3d ManagerDied, the longest %5.1f s%s%s\n", name_, calls_, errors_, seconds(longest_),
                last_.empty() ? "" : "; the last: ", last_.c_str());
  }
  [[nodiscard]] int errors() const { return errors_; }
  [[nodiscard]] double longest() const { return seconds(longest_); }

 private:
  const char* const name_;
  std::mutex mutex_;
  int calls_ = 0;
  int errors_ = 0;
  Clock::duration longest_{};
  std::string last_;
};

bool check(bool holds, const char* what) {
  std::printf("%s: %s\n", holds ? "holds" : "FAILED", what);
  std::fflush(stdout);
  return holds;
}

int work(const std::string& address, int cut_seconds) {
  bool good = check(plain_is_refused(address), "without TLS nobody is let in");
  const mp::RemoteManager remote(address, key);
  const auto counts = remote.dict<std::string, int>("counts");
  const auto jobs = remote.queue<int>("jobs");
  const auto empty = remote.queue<int>("empty");
  const auto lock = remote.lock("lock");
  Tally steady("without a deadline"), timed("get(1 s)"), waiting("waiting in get()");
  std::atomic<bool> ending{false};
  lock.acquire();
  std::thread waiter([&] {
    waiting.time([&] { static_cast<void>(jobs.get()); });
  });
  std::thread updates([&] {
    while (!ending) {
      steady.time([&] { counts.update("n", [](int& n) { ++n; }, 0); });
      std::this_thread::sleep_for(20ms);
    }
  });
  std::thread timeouts([&] {
    while (!ending) {
      timed.time([&] {
        try {
          static_cast<void>(empty.get(1s));
        } catch (const mp::Empty&) {
        }
      });
    }
  });
  std::printf("working\n");
  std::fflush(stdout);
  while (told() != "end") {
  }
  ending = true;
  waiter.join();
  updates.join();
  timeouts.join();
  steady.report();
  timed.report();
  waiting.report();
  bool released = true;
  try {
    lock.release();
  } catch (const std::exception&) {
    released = false;
  }
  good = check(timed.longest() < 3.0, "no call has passed its deadline by more than a second, and some slack") && good;
  if (cut_seconds < 60) {
    good = check(steady.errors() == 0, "calls without a deadline have gone on") && good;
    good = check(waiting.errors() == 0, "who waited for an item has got it") && good;
    good = check(released, "the lock was held all the time") && good;
  } else {
    good = check(steady.errors() > 0 && steady.longest() < 100, "calls without a deadline got ManagerDied, in time") && good;
    good = check(waiting.errors() == 1 && waiting.longest() < 100, "who waited for an item got ManagerDied, in time") && good;
    good = check(!released, "the lock went to somebody else") && good;
  }
  int n = counts.at("n");
  counts.update("n", [&](int& now) { n = ++now; });
  good = check(n > 0, "and the next call finds the manager again") && good;
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc > 2 ? argv[1] : "";
  if (what == "serve" && argc == 3) return serve(argv[2]);
  if (what == "work" && argc == 4) return work(argv[2], std::stoi(argv[3]));
  std::fprintf(stderr, "usage: mp_network serve ADDRESS | work ADDRESS SECONDS\n");
  return 2;
} catch (const std::exception& e) {
  std::fprintf(stderr, "mp_network: %s\n", e.what());
  return 1;
}
