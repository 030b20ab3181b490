// The whole copy: scan ──▶ batcher ──▶ pool of processes ──▶ results, in one loop of one thread.
//
// Invariant: each item that the scan found is in exactly one place: in the batcher, in split_ (a large file, which goes
// out in pieces), in again_, in a task under way, or counted (as copied, or by a message in failures_).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "batcher.hpp"
#include "completions.hpp"
#include "counters.hpp"
#include "job.hpp"
#include "multiprocessing/pool.hpp"
#include "options.hpp"
#include "report.hpp"
#include "roots.hpp"
#include "scan.hpp"
#include "split_files.hpp"
#include "throttle.hpp"

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
  [[nodiscard]] bool found_all() const { return scanner_.is_done(); }

 private:
  int copy_all();
  void stop();
  bool submit_next();
  void renew_pool();
  std::optional<Batch> next_batch();
  std::optional<Batch> next_links();
  void take_completions(std::chrono::milliseconds patience);
  void take(Completion completion);
  void take_result(const Batch& batch, BatchResult result);
  void take_error(const Batch& batch, const std::exception_ptr& error);
  void give_up(const Batch& batch, const std::vector<Item>& items, const std::string& why);
  void note_failed(const Batch& batch, const Item& item);
  void close_piece(const Batch& batch, const Item& piece, bool is_copied);
  [[nodiscard]] View view() const;
  void show_progress();

  std::uint64_t run_;
  const Rules rules_;
  std::vector<std::string> failures_;
  std::unordered_set<std::string> failed_targets_;  // which hard links cannot be links to
  Batcher batcher_;
  Scanner scanner_;
  SplitFiles split_;
  std::deque<Batch> again_;  // tasks whose worker died
  bool linking_ = false;     // all but the hard links has been copied
  Amount copied_;
  int processes_;
  std::vector<std::optional<Batch>> under_way_;  // what the pool has; a place here is a slot of the counters
  std::size_t busy_ = 0;                         // how many places are taken
  SharedCounters counters_;                      // before the pool, so that its processes inherit them,
  std::optional<Throttle> throttle_;             // and this
  Completions completions_;                      // before the pool, whose thread fills it
  multiprocessing::Pool pool_;
  std::exception_ptr pool_error_;  // set: the pool is broken
  int pools_broken_ = 0;
  Report report_;
};

}  // namespace mpcopy
