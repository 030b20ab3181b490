// Team: processes that start together and say when they ended and what they saw.
//
//   Team<RawFork> team{placement};
//   team.add(0, [&](const Lap& lap) { prepare(); lap.start(); work(); lap.stop({.count = n, .checksum = sum}); });
//   Outcome outcome = team.run();
//
// How a member is started is the contender's choice: RawFork is fork() and nothing else, so that rivals run without
// the library under test.  A member that throws makes run() throw, and no member outlives its Team; one that is
// killed leaves the others waiting, until the runner's time limit ends them all.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <list>
#include <new>
#include <stdexcept>

#include "harness/placement.hpp"
#include "harness/sample.hpp"

namespace bench {

// What a member saw: summed over the team, and compared with what was sent.
struct Tally {
  std::uint64_t count = 0;
  std::uint64_t checksum = 0;
};

struct Outcome {
  std::int64_t nanoseconds = 0;  // from the opening of the gate to the last member's stop()
  Tally seen;
};

struct Pipe {
  Pipe() {
    if (::pipe(ends.data()) != 0) throw std::runtime_error("pipe failed");
  }
  ~Pipe() {
    close_read();
    close_write();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_read() { close_end(0); }
  void close_write() { close_end(1); }
  int read_end() const { return ends[0]; }
  int write_end() const { return ends[1]; }

 private:
  void close_end(std::size_t which) {
    if (ends[which] >= 0) ::close(ends[which]);
    ends[which] = -1;
  }
  std::array<int, 2> ends{-1, -1};
};

// A member's view of the race: start() once everything is set up, stop() right after the last item.
class Lap {
 public:
  struct Record {
    std::int64_t stopped_ns = 0;
    Tally seen;
  };

  Lap(int news, int start_gate, int end_gate, Record& record)
      : news_{news}, start_gate_{start_gate}, end_gate_{end_gate}, record_{record} {}

  // Returns when every member is ready.
  void start() const {
    tell(kGood);
    pass(start_gate_);
  }

  // Returns when every member has stopped: a transport whose sender hangs up early can lose what is under way.
  void stop(Tally seen) const {
    record_ = {now_ns(), seen};
    tell(kGood);
    pass(end_gate_);
  }

  void fail() const { tell(kBad); }

  static constexpr char kGood = 1;
  static constexpr char kBad = 0;

 private:
  void tell(char news) const { require(::write(news_, &news, 1) == 1, "the team has gone"); }

  // A gate is a pipe: closing its one write end tells all who read, at once.
  static void pass(int gate) {
    char byte = 0;
    require(::read(gate, &byte, 1) == 0, "a gate did not open");
  }

  int news_;
  int start_gate_;
  int end_gate_;
  Record& record_;
};

// A forked process; killed, if it still runs, and reaped with this object.
class RawFork {
 public:
  template <class Body>
  explicit RawFork(Body body) {
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it died before the line above
    body();
    ::_exit(0);
  }
  RawFork(const RawFork&) = delete;
  RawFork& operator=(const RawFork&) = delete;
  ~RawFork() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = 0;
};

// Child: constructed from a callable that it runs in a process of its own; its destructor ends that process.
template <class Child>
class Team {
 public:
  explicit Team(const Placement& placement) : placement_{placement} {
    void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    records_ = new (memory) Lap::Record[kMost];
  }
  ~Team() {
    members_.clear();
    ::munmap(records_, kBytes);
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // Starts a member that runs `body` on the core of `seat`; it stops at lap.start() until run().
  template <class Body>
  void add(std::size_t seat, Body body) {
    require(members_.size() < kMost, "too many members");
    const Lap lap{news_.write_end(), start_.read_end(), end_.read_end(), records_[members_.size()]};
    members_.emplace_back([this, seat, body, lap] {
      start_.close_write();
      end_.close_write();
      try {
        placement_.sit(seat);
        body(lap);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "a member failed: %s\n", error.what());
        lap.fail();
      }
    });
  }

  Outcome run() {
    await_news();  // all have arrived
    const std::int64_t opened = now_ns();
    start_.close_write();
    await_news();  // all have stopped
    end_.close_write();

    Outcome outcome;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      outcome.nanoseconds = std::max(outcome.nanoseconds, records_[i].stopped_ns - opened);
      outcome.seen.count += records_[i].seen.count;
      outcome.seen.checksum += records_[i].seen.checksum;
    }
    return outcome;
  }

 private:
  static constexpr std::size_t kMost = 64;
  static constexpr std::size_t kBytes = kMost * sizeof(Lap::Record);

  void await_news() {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      char news = Lap::kBad;
      require(::read(news_.read_end(), &news, 1) == 1 && news == Lap::kGood, "a member failed");
    }
  }

  const Placement& placement_;
  Pipe news_;
  Pipe start_;
  Pipe end_;
  Lap::Record* records_ = nullptr;
  std::list<Child> members_;  // they stay where they are
};

}  // namespace bench
