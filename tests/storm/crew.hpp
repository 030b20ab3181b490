// Crew: positions with a job each.  A process works at each position; when it is killed the next one takes over.
//
//   Crew crew(settings, report);
//   crew.hire([&](Worker& me) { while (!me.over()) { …; me.count(); if (wrong) me.violation("…"); } });
//   crew.storm(1'000, [&](int position) { … a process has died there … });
//   crew.call_it_over();                 // nobody is killed any more; waits for those who work until over()
//   …                                    // bring the others to their end
//   crew.dismiss();                      // waits for those too
//
// The processes are members of the family: made by memory::fork_member(), reaped by memory::reap_member().
// When no operation is done at some position for `patience` / 2, by whichever processes were there, or the crew hangs
// itself, it prints what each worker is doing and ends the program.  One crew at a time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "memory/family.hpp"
#include "storm/storm.hpp"
#include "support/shared.hpp"

namespace multiprocessing::storm {

// What the workers tell the crew, in memory of its own: it must outlive whatever breaks.
struct CrewBoard {
  static constexpr int texts = 16;
  static constexpr int positions = 64;
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> operations[positions];
  std::atomic<std::uint64_t> violations{0};
  char text[texts][256];
};

class Worker {
 public:
  Worker(CrewBoard& board, int position, Random seed) : random(seed), board_(board), position_(position) {}
  [[nodiscard]] bool over() const { return board_.over.load(std::memory_order_relaxed); }
  [[nodiscard]] int position() const { return position_; }
  void count(std::uint64_t operations = 1) {
    board_.operations[position_].fetch_add(operations, std::memory_order_relaxed);
  }
  void violation(const std::string& text);

  Random random;

 private:
  CrewBoard& board_;
  int position_;
};

enum class Until {
  over,  // the job ends soon after over()
  end    // it ends when what it takes from has ended
};

class Crew {
 public:
  using Job = std::function<void(Worker&)>;
  static constexpr std::chrono::seconds patience{60};

  Crew(const Settings& settings, Report& report);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  int hire(Job job, Until until = Until::over);  // its position
  // Until so many more kills, or the time of the settings is over.  False: it is over.
  bool storm(std::uint64_t kills, const std::function<void(int position)>& died);
  // No more kills: over() is true.  Waits for those whose job ends then.
  void call_it_over();
  // Waits for everybody, and for what the killed have left behind.
  void dismiss();

  Random random;

 private:
  struct Position {
    Job job;
    Until until;
    memory::Forked process;
    bool doomed = false;  // SIGKILL is on its way
    bool spared = false;  // nobody is to kill or stop it now
    std::uint64_t seen = 0;
    std::chrono::steady_clock::time_point seen_at;
    std::chrono::steady_clock::time_point started_at;
  };

  void start(int position);
  void spare_some();
  void harass();
  void kill(Position& position);
  void reap(const std::function<void(int position)>& died);
  void reap_the_doomed(const std::function<void(int position)>& died);
  void finish(Until until);
  void look_for_progress();
  static void dump_and_exit(int signal);

  const Settings settings_;
  Report& report_;
  std::chrono::steady_clock::time_point end_;
  testing::Shared<CrewBoard> board_;
  std::vector<Position> positions_;
};

}  // namespace multiprocessing::storm
