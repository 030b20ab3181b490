#include "parallel/child.hpp"

#include <cxxabi.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include "multiprocessing/detail/pool_core.hpp"
#include "os/faults.hpp"

namespace multiprocessing::parallel {
namespace {

using Clock = std::chrono::steady_clock;

// How long a chunk should take: a thousand times what taking one costs, and so short that it does not matter who has
// the last one.
constexpr std::chrono::microseconds chunk_time{50};
constexpr std::size_t write_at = std::size_t{256} << 10;

// The number of items in a chunk, from the time that the last one took.
class Pace {
 public:
  [[nodiscard]] Index items() const noexcept { return items_; }
  void note(Clock::duration taken) noexcept {
    if (taken < chunk_time / 2) items_ *= 2;
    if (taken > chunk_time * 2) items_ = std::max<Index>(1, items_ / 2);
  }

 private:
  Index items_ = 1;
};

class Child {
 public:
  explicit Child(const ChildTask& task) : task_(task), place_(task.place) {}

  void work() {
    Pace pace;
    for (Chunk chunk; take(pace.items(), chunk);) {
      MULTIPROCESSING_STEP("parallel.child.taken");
      const auto began = Clock::now();
      if (!run(chunk)) break;
      pace.note(Clock::now() - began);
      MULTIPROCESSING_STEP("parallel.child.ran");
      if (out_.size() >= write_at) write_out();
    }
    write_out();
    MULTIPROCESSING_STEP("parallel.child.written");
  }

 private:
  // False: nothing is left, or only what comes after an item that failed.
  bool take(Index wanted, Chunk& chunk) {
    Index next = task_.board.next.load(std::memory_order_relaxed);
    do {
      if (next >= task_.board.first_failed.load(std::memory_order_relaxed)) return false;
      const Index fair = std::max<Index>(1, (task_.items - next) / (2 * task_.processes));
      chunk = {next, next + std::min(wanted, fair)};
    } while (!task_.board.next.compare_exchange_weak(next, chunk.end, std::memory_order_relaxed));
    place_.first.store(chunk.first, std::memory_order_relaxed);
    place_.end.store(chunk.end, std::memory_order_relaxed);
    place_.at.store(chunk.first, std::memory_order_relaxed);
    place_.began.store(1, std::memory_order_relaxed);
    return true;
  }

  // False: an item has failed, and this child does no more.
  bool run(Chunk chunk) {
    const std::size_t begin = out_.size();
    try {
      if (task_.work.writes) static_cast<void>(out_.extend(sizeof(Record)));
      task_.work.run(chunk, place_.at, out_);
      if (task_.work.writes) fill_in(begin, chunk);
      return true;
    } catch (abi::__forced_unwind&) {  // pthread_exit() in an item: not an exception, must go on
      throw;
    } catch (...) {
      out_.truncate(begin);
      const Index failed = place_.at.load(std::memory_order_relaxed);
      static_cast<void>(out_.extend(sizeof(Record)));
      pool::encode_current_exception(out_);
      fill_in(begin, {failed, failed});
      Index lowest = task_.board.first_failed.load(std::memory_order_relaxed);
      while (failed < lowest && !task_.board.first_failed.compare_exchange_weak(lowest, failed)) {
      }
      return false;
    }
  }

  void fill_in(std::size_t begin, Chunk chunk) {
    const Record record{chunk.first, chunk.end, out_.size() - begin - sizeof(Record)};
    // The encoder's memory is this object's own; what extend() returned may have moved since.
    std::memcpy(const_cast<std::byte*>(out_.bytes().data()) + begin, &record, sizeof record);
  }

  void write_out() {
    if (out_.size() == 0) return;
    const std::uint64_t where = task_.board.written.fetch_add(out_.size(), std::memory_order_relaxed);
    // An item may have closed all descriptors, and another file have this number.
    const bool is_ours = os::identity_of(task_.file) == task_.file_identity;
    const int outcome = is_ours ? os::write_all(task_.file, out_.bytes(), where) : -EBADF;
    if (outcome < 0) place_.error.store(-outcome, std::memory_order_relaxed);
    // What results name stays alive until the caller, having them, has reaped this process.
    kept_.insert(kept_.end(), out_.carried().begin(), out_.carried().end());
    out_.clear();
  }

  const ChildTask& task_;
  Place& place_;
  codec::Encoder out_;
  std::vector<memory::Ref> kept_;
};

// As a pool's worker: a group of its own, so that signals of the terminal go to the caller, and what a dead child has
// started can be found.
void bind_to_parent(pid_t parent) {
  ::setpgid(0, 0);
  ::signal(SIGTTOU, SIG_IGN);
  // The calling thread waits for us: while it lives so does the call.  So the signal may follow the thread.
  os::set_parent_death_signal(SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
}

}  // namespace

void be_child(const ChildTask& task, process_::ChildPlan& plan) noexcept {
  MULTIPROCESSING_STEP("parallel.child.forked");
  bind_to_parent(plan.parent);
  task.place.bound.store(1, std::memory_order_release);  // sync(child-bound): pairs with Team
  process_::enter_child(plan);
  MULTIPROCESSING_STEP("parallel.child.entered");
  Child& child = *new Child(task);  // never destroyed: it holds what its results name to the end
  try {
    child.work();
  } catch (abi::__forced_unwind&) {
    process_::leave_child(0);  // unwinding further would destroy the caller's objects
  } catch (...) {
    task.place.error.store(ENOMEM, std::memory_order_relaxed);
  }
  task.place.done.store(1, std::memory_order_release);  // sync(child-done): pairs with Team
  MULTIPROCESSING_STEP("parallel.child.done");
  process_::leave_child(0);
}

}  // namespace multiprocessing::parallel
