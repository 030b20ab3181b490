// How the copy gets on, as the user wants to see it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "job.hpp"
#include "multiprocessing/progress.hpp"
#include "options.hpp"

namespace mpcopy {

// What a worker is at.
struct Running {
  pid_t worker = 0;
  std::string path{};
  std::uint64_t bytes = 0;
  std::uint64_t all_bytes = 0;
};

struct View {
  Amount copied{};
  Amount found{};
  bool found_all = false;
  std::vector<Running> workers{};
};

// How much of the work is done, 0…1.
double fraction_of(const View& view);

class WorkerLines;

class Report {
 public:
  Report(Display display, int workers);
  ~Report();
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  [[nodiscard]] bool shows_workers() const { return lines_ != nullptr; }
  // Is it time to look?
  [[nodiscard]] bool is_due() const { return Clock::now() >= next_; }
  void update(const View& view);
  void finish(const View& view);

 private:
  using Clock = std::chrono::steady_clock;

  Display display_;
  Clock::time_point begin_ = Clock::now(), next_ = begin_;
  std::unique_ptr<WorkerLines> lines_;  // before the bar, which stands below them
  multiprocessing::ProgressBar bar_;
};

}  // namespace mpcopy
