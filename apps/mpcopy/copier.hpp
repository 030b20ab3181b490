// The whole copy: scan ──▶ batcher ──▶ pool of processes ──▶ results, in one loop of one thread.
//
// Invariant: each item that the scan found is in exactly one place: in the batcher, in again_, in a task under way, or
// counted (as copied, or by a message in failures_).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "batcher.hpp"
#include "completions.hpp"
#include "counters.hpp"
#include "job.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/progress.hpp"
#include "options.hpp"
#include "roots.hpp"
#include "scan.hpp"

namespace mpcopy {

class Copier {
 public:
  Copier(const Options& options, std::vector<Root> roots);

  // Copies everything that can be copied.  The signal that interrupted it, or 0.
  int run();
  // One message for each path that was not copied, sorted.
  [[nodiscard]] const std::vector<std::string>& failures() const { return failures_; }

  // What was copied so far, in tasks under way too.
  [[nodiscard]] Amount copied() const;
  [[nodiscard]] const Amount& found() const { return scanner_.found(); }

 private:
  int copy_all();
  void stop();
  bool submit_next();
  void renew_pool();
  std::optional<Batch> next_batch();
  void take_completions(std::chrono::milliseconds patience);
  void take(Completion completion);
  void take_error(const Batch& batch, const std::exception_ptr& error);
  void give_up(const Batch& batch, const std::vector<Item>& items, const std::string& why);
  void remove_leftovers(const Batch& batch) const;
  void show_progress();

  std::uint64_t run_;
  std::vector<std::string> failures_;
  Batcher batcher_;
  Scanner scanner_;
  std::deque<Batch> again_;  // tasks whose worker died
  Amount copied_;
  int processes_;
  std::vector<std::optional<Batch>> under_way_;  // what the pool has; a place here is a slot of the counters
  std::size_t busy_ = 0;                         // how many places are taken
  SharedCounters counters_;                      // before the pool, so that its processes inherit them
  Completions completions_;                      // before the pool, whose thread fills it
  multiprocessing::Pool pool_;
  std::exception_ptr pool_error_;  // set: the pool is broken
  int pools_broken_ = 0;
  multiprocessing::ProgressBar bar_;
};

}  // namespace mpcopy
