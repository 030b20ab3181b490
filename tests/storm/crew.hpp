// Crew: positions with a job each.  A process works at each position; when it is killed the next one takes over.
//
//   Crew crew(settings, report);
//   crew.hire([&](Worker& me) { while (!me.over()) { …; me.count(); if (wrong) me.violation("…"); } });
//   crew.storm(1'000, [&](int position) { … a process has died there … });
//   crew.dismiss();                      // every worker returns from its job
//
// The processes are members of the family: made by memory::fork_member(), reaped by memory::reap_member().
// A crew that sees no operation done for `patience`, or hangs itself, prints what each worker is doing and ends the
// program.  One crew at a time.
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
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> operations{0};
  std::atomic<std::uint64_t> violations{0};
  char text[texts][256];
};

class Worker {
 public:
  Worker(CrewBoard& board, int position, Random seed) : random(seed), board_(board), position_(position) {}
  [[nodiscard]] bool over() const { return board_.over.load(std::memory_order_relaxed); }
  [[nodiscard]] int position() const { return position_; }
  void count(std::uint64_t operations = 1) { board_.operations.fetch_add(operations, std::memory_order_relaxed); }
  void violation(const std::string& text);

  Random random;

 private:
  CrewBoard& board_;
  int position_;
};

class Crew {
 public:
  using Job = std::function<void(Worker&)>;
  static constexpr std::chrono::seconds patience{60};

  Crew(const Settings& settings, Report& report);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void hire(Job job);
  // Until so many more kills, or the time of the settings is over.  False: it is over.
  bool storm(std::uint64_t kills, const std::function<void(int position)>& died);
  // Waits until those at positions first … last - 1, whose job has ended for some other reason than dismiss(), are gone.
  void finish(int first, int last);
  // Kills and restarts nobody any more: over() is true, and every job must end soon.
  void dismiss();

  Random random;

 private:
  struct Position {
    Job job;
    memory::Forked process;
  };

  void start(int position);
  void harass();
  void reap(const std::function<void(int position)>& died);
  void look_for_progress();
  static void dump_and_exit(int signal);

  const Settings settings_;
  Report& report_;
  std::chrono::steady_clock::time_point end_;
  testing::Shared<CrewBoard> board_;
  std::vector<Position> positions_;
  std::uint64_t seen_operations_ = 0;
  std::chrono::steady_clock::time_point seen_at_;
};

}  // namespace multiprocessing::storm
