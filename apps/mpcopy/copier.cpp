#include "copier.hpp"

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>

#include "copy_batch.hpp"
#include "interrupt.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/process.hpp"
#include "open_path.hpp"
#include "retry.hpp"
#include "temporary_name.hpp"
#include "text.hpp"

namespace mpcopy {
namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;

// As long as a core is left to the scan, for the bar to know its total soon: enough to see some 100,000 files.
constexpr auto kScanHeadStart = 1s;
constexpr auto kLook = 50ms;            // how often the bar moves, and an interrupt is noticed, while workers are busy
constexpr std::size_t kTasksAhead = 3;  // per worker: what the pool holds, so that none waits for this loop
constexpr int kMaxPoolsBroken = 10;     // somebody kills pools as a whole, and will not stop

std::uint64_t random_run() {
  std::random_device device;
  return std::uint64_t{device()} << 32U | device();
}

mp::Pool make_pool(int processes) { return mp::Pool({.processes = processes, .initializer = prepare_worker}); }

// Where there is a limit, steps are short enough that the bar moves and the rate is even.
Rules rules_of(const Options& options) {
  Rules rules = options.rules;
  if (options.bytes_per_second > 0) {
    rules.step_bytes = std::clamp<std::uint64_t>(options.bytes_per_second / 10, 4U << 10U, rules.step_bytes);
  }
  return rules;
}

void remove_leftovers_of(const Batch& batch) {
  for (const Item& item : batch.items) {
    if (item.kind == Kind::piece || item.kind == Kind::directory) continue;
    const auto folder = open_directory(batch.folders[item.folder].target, For::holding);
    if (folder) ::unlinkat(folder.get(), temporary_name(batch.run, item.serial).c_str(), 0);
  }
}

}  // namespace

Copier::Copier(const Options& options, std::vector<Root> roots)
    : run_(random_run()),
      rules_(rules_of(options)),
      scanner_(std::move(roots), batcher_, failures_,
               {.exclude = Exclude(options.exclude), .removes_leftovers = options.rules.resume}),
      split_(rules_, failures_),
      processes_(options.processes > 0 ? options.processes : mp::cpu_count()),
      under_way_(static_cast<std::size_t>(processes_) * kTasksAhead),
      counters_(under_way_.size()),
      throttle_(options.bytes_per_second > 0 ? std::make_optional<Throttle>(options.bytes_per_second) : std::nullopt),
      pool_(make_pool(processes_)),
      report_(options.display, processes_) {}

int Copier::run() {
  const int signal = copy_all();
  if (signal != 0) {
    stop();
  } else {
    scanner_.finish_directories();
  }
  report_.finish(view());
  // A directory that could not be made is reported by each task that needed it.
  std::sort(failures_.begin(), failures_.end());
  failures_.erase(std::unique(failures_.begin(), failures_.end()), failures_.end());
  return signal;
}

void Copier::stop() {
  pool_.terminate();
  pool_.join();
  for (const auto& batch : under_way_) {
    if (batch) remove_leftovers_of(*batch);
  }
}

// The workers, at first all but one of them, are kept busy first; the scan gets ahead while they are.
int Copier::copy_all() {
  const auto head_start = std::chrono::steady_clock::now() + kScanHeadStart;
  const auto few = static_cast<std::size_t>(std::max(1, processes_ - 1));
  for (;;) {
    if (const int signal = InterruptWatch::signal()) return signal;
    if (pool_error_ && busy_ == 0) renew_pool();
    const bool is_scanning = !scanner_.is_done();
    const bool is_head_start = is_scanning && std::chrono::steady_clock::now() < head_start;
    while (busy_ < (is_head_start ? few : under_way_.size()) && submit_next()) continue;
    if (is_scanning) {
      scanner_.step();
    } else if (busy_ == 0) {
      return 0;
    }
    take_completions(is_scanning ? 0ms : kLook);
    show_progress();
  }
}

bool Copier::submit_next() {
  if (pool_error_) return false;
  std::optional<Batch> batch = next_batch();
  if (!batch) return false;
  const auto free = std::find(under_way_.begin(), under_way_.end(), std::nullopt);
  const auto slot = static_cast<std::uint32_t>(free - under_way_.begin());
  batch->run = run_;
  batch->slot = slot;
  batch->rules = rules_;
  *free = std::move(batch);
  ++busy_;
  try {
    pool_.apply_async(copy_batch, **free)
        .on_success([this, slot](const BatchResult& result) { completions_.add({.slot = slot, .result = result}); })
        .on_error([this, slot](const std::exception_ptr& error) { completions_.add({.slot = slot, .error = error}); });
  } catch (const mp::PoolBroken&) {
    completions_.add({.slot = slot, .error = std::current_exception()});
  }
  return true;
}

// Tasks of the old pool may have got anywhere, and go to the new one under new temporary names.
void Copier::renew_pool() {
  if (++pools_broken_ == kMaxPoolsBroken) std::rethrow_exception(pool_error_);
  pool_error_ = nullptr;
  pool_.terminate();
  pool_.join();
  pool_ = make_pool(processes_);
  run_ = random_run();
}

std::optional<Batch> Copier::next_batch() {
  if (!again_.empty()) {
    Batch batch = std::move(again_.front());
    again_.pop_front();
    return batch;
  }
  // As many large files at once as there are workers; then the pieces of these.
  while (split_.open_files() < static_cast<std::size_t>(processes_)) {
    std::optional<Batch> batch = batcher_.next_large();
    if (!batch) break;
    if (!split_.wants(*batch)) return batch;
    if (auto result = split_.open(*batch)) take_result(*batch, std::move(*result));
  }
  if (auto piece = split_.next_piece()) return piece;
  if (auto batch = batcher_.next_small()) return batch;
  return next_links();
}

// What they are links to must be there: everything else has been copied.
std::optional<Batch> Copier::next_links() {
  linking_ = linking_ || (scanner_.is_done() && busy_ == 0);
  if (!linking_) return std::nullopt;
  std::optional<Batch> batch = batcher_.next_links();
  if (!batch) return std::nullopt;
  for (Item& item : batch->items) {
    if (failed_targets_.count(item.other) != 0) item.other.clear();
  }
  return batch;
}

void Copier::take_completions(std::chrono::milliseconds patience) {
  for (auto completion = completions_.next(patience); completion; completion = completions_.next(0ms)) {
    take(std::move(*completion));
  }
}

void Copier::take(Completion completion) {
  const std::optional<Batch> batch = std::exchange(under_way_[completion.slot], std::nullopt);
  --busy_;
  counters_.slots()[completion.slot].clear();
  if (completion.error) return take_error(*batch, completion.error);
  take_result(*batch, std::move(completion.result));
}

void Copier::take_result(const Batch& batch, BatchResult result) {
  copied_ += result.copied;
  auto& failures = result.failures;
  failures_.insert(failures_.end(), std::make_move_iterator(failures.begin()), std::make_move_iterator(failures.end()));
  for (const std::uint32_t at : result.failed) note_failed(batch, batch.items.at(at));
  const Item& first = batch.items.at(0);
  if (first.kind == Kind::piece) close_piece(batch, first, result.failed.empty());
}

void Copier::close_piece(const Batch& batch, const Item& piece, bool is_copied) {
  const auto file = split_.close_piece(piece, is_copied);
  if (!file) return;
  copied_ += file->copied;
  if (!file->failed.empty()) note_failed(batch, piece);
}

void Copier::take_error(const Batch& batch, const std::exception_ptr& error) {
  remove_leftovers_of(batch);
  try {
    std::rethrow_exception(error);
  } catch (const mp::WorkerDied& death) {
    Retry retry = after_death(batch);
    again_.insert(again_.end(), std::make_move_iterator(retry.again.begin()),
                  std::make_move_iterator(retry.again.end()));
    give_up(batch, retry.given_up, death.what());
  } catch (const mp::PoolBroken&) {
    pool_error_ = error;
    again_.push_back(batch);
  } catch (const std::exception& other) {
    give_up(batch, batch.items, other.what());
  }
}

void Copier::give_up(const Batch& batch, const std::vector<Item>& items, const std::string& why) {
  for (const Item& item : items) {
    failures_.push_back("cannot copy " + shown(source_path(batch.folders[item.folder], item)) + ": " + why);
    note_failed(batch, item);
    if (item.kind == Kind::piece) close_piece(batch, item, false);
  }
}

void Copier::note_failed(const Batch& batch, const Item& item) {
  if (item.kind != Kind::directory) failed_targets_.insert(target_path(batch.folders[item.folder], item));
}

Amount Copier::copied() const {
  Amount sum = copied_;
  for (const SharedCounters::Slot& slot : counters_.slots()) sum += slot.amount();
  return sum;
}

View Copier::view() const {
  View view{.copied = copied(), .found = scanner_.found(), .found_all = scanner_.is_done()};
  if (!report_.shows_workers()) return view;
  for (std::size_t at = 0; at < under_way_.size(); ++at) {
    const SharedCounters::Slot& slot = counters_.slots()[at];
    if (!under_way_[at] || slot.worker() == 0 || slot.item() >= under_way_[at]->items.size()) continue;
    const Item& item = under_way_[at]->items[slot.item()];
    view.workers.push_back({.worker = slot.worker(),
                            .path = source_path(under_way_[at]->folders[item.folder], item),
                            .bytes = slot.item_bytes(),
                            .all_bytes = item.bytes});
  }
  std::sort(view.workers.begin(), view.workers.end(),
            [](const Running& a, const Running& b) { return a.worker < b.worker; });  // each keeps its line
  return view;
}

void Copier::show_progress() {
  if (report_.is_due()) report_.update(view());
}

}  // namespace mpcopy
