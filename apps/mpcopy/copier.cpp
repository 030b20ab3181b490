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
#include "retry.hpp"
#include "text.hpp"

namespace mpcopy {
namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;

// Enough to see some 100,000 files: the bar of most trees knows its total from the start.
constexpr auto kScanHeadStart = 1s;
constexpr auto kLook = 50ms;            // how often the bar moves, and an interrupt is noticed, while workers are busy
constexpr std::size_t kTasksAhead = 3;  // per worker: what the pool holds, so that none waits for this loop
constexpr int kMaxPoolsBroken = 10;     // somebody kills pools as a whole, and will not stop
// What a file costs beside its bytes, told in bytes: making one takes as long as copying about so many.  The bar
// would stand still in a tree of small files, or race through it, if it counted bytes alone.
constexpr std::uint64_t kBytesPerFile = 64U << 10U;

std::uint64_t random_run() {
  std::random_device device;
  return std::uint64_t{device()} << 32U | device();
}

mp::Pool make_pool(int processes) { return mp::Pool({.processes = processes, .initializer = prepare_worker}); }

double work(const Amount& amount) {
  return static_cast<double>(amount.bytes + kBytesPerFile * (amount.files + amount.directories));
}

}  // namespace

Copier::Copier(const Options& options, std::vector<Root> roots)
    : run_(random_run()),
      scanner_(std::move(roots), batcher_, failures_),
      processes_(options.processes > 0 ? options.processes : mp::cpu_count()),
      under_way_(static_cast<std::size_t>(processes_) * kTasksAhead),
      counters_(under_way_.size()),
      pool_(make_pool(processes_)),
      bar_({.label = "copying", .unit = mp::ProgressUnit::bytes, .quiet = options.quiet}) {}

int Copier::run() {
  const int signal = copy_all();
  if (signal != 0) {
    stop();
  } else {
    scanner_.finish_directories();
  }
  show_progress();
  bar_.finish();
  // A directory that could not be made is reported by each task that needed it.
  std::sort(failures_.begin(), failures_.end());
  failures_.erase(std::unique(failures_.begin(), failures_.end()), failures_.end());
  return signal;
}

void Copier::stop() {
  pool_.terminate();
  pool_.join();
  for (const auto& batch : under_way_) {
    if (batch) remove_leftovers(*batch);
  }
}

// After the head start the workers are kept busy first; the scan gets ahead while they are.
int Copier::copy_all() {
  const auto head_start = std::chrono::steady_clock::now() + kScanHeadStart;
  while (!scanner_.is_done() && std::chrono::steady_clock::now() < head_start) scanner_.step();
  for (;;) {
    if (const int signal = InterruptWatch::signal()) return signal;
    if (pool_error_ && busy_ == 0) renew_pool();
    while (submit_next()) continue;
    const bool is_scanning = !scanner_.is_done();
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
  if (pool_error_ || busy_ == under_way_.size()) return false;
  std::optional<Batch> batch = next_batch();
  if (!batch) return false;
  const auto free = std::find(under_way_.begin(), under_way_.end(), std::nullopt);
  const auto slot = static_cast<std::uint32_t>(free - under_way_.begin());
  batch->run = run_;
  batch->slot = slot;
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
  if (again_.empty()) return batcher_.next();
  Batch batch = std::move(again_.front());
  again_.pop_front();
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
  copied_ += completion.result.copied;
  auto& failures = completion.result.failures;
  failures_.insert(failures_.end(), std::make_move_iterator(failures.begin()), std::make_move_iterator(failures.end()));
}

void Copier::take_error(const Batch& batch, const std::exception_ptr& error) {
  remove_leftovers(batch);
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
  }
}

void Copier::remove_leftovers(const Batch& batch) const {
  for (const Item& item : batch.items) {
    ::unlink(joined(batch.folders[item.folder].target, temporary_name(batch.run, item.serial)).c_str());
  }
}

Amount Copier::copied() const {
  Amount sum = copied_;
  for (const SharedCounters::Slot& slot : counters_.slots()) sum += slot.amount();
  return sum;
}

void Copier::show_progress() {
  const Amount done = copied();
  mp::ProgressState state{.done = done.bytes, .note = grouped(done.files) + " files"};
  if (scanner_.is_done()) {
    const Amount& all = scanner_.found();
    state.total = all.bytes;
    state.fraction = work(all) > 0 ? work(done) / work(all) : 1.0;
  }
  bar_.update(std::move(state));
}

}  // namespace mpcopy
