// Several robust locks over plain data in two halves, and an event count.
//
// Invariants: one holder at a time; halves differ only when the lock came from a dead owner; no increment of a
// worker that was not killed is lost; a time-out is one; a waiter sees every change in the end (else: no progress).
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "storm/part.hpp"
#include "sync/event_count.hpp"
#include "sync/robust_lock.hpp"

namespace multiprocessing::storm {
namespace {

using namespace std::chrono_literals;
using detail::Deadline;
using sync::Acquired;

struct Guarded {
  sync::RobustLock lock;
  std::atomic<int> inside{0};
  volatile std::uint64_t first = 0;
  volatile std::uint64_t second = 0;
  std::atomic<std::uint64_t> done{0};  // increments completed, counted inside of the lock
  std::atomic<std::uint64_t> deaths{0};
};

struct Board {
  std::array<Guarded, 3> guarded;
  sync::EventCount events;
  std::atomic<std::uint64_t> generation{0};
};

void linger(std::uint64_t looks) {
  for (std::uint64_t i = 0; i < looks; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
}

void increment(Guarded& guarded, Worker& me) {
  const Deadline deadline =
      me.random.one_in(4) ? Deadline::after(std::chrono::microseconds(me.random.below(2'000))) : Deadline::never();
  const Acquired how = guarded.lock.acquire(deadline);
  if (how == Acquired::timed_out) {
    if (!deadline.is_over()) me.violation("timed out before the deadline");
    return;
  }
  const bool after_a_death = how == Acquired::from_dead_owner;
  if (guarded.inside.exchange(1) != 0 && !after_a_death) me.violation("two holders at once");
  if (guarded.first != guarded.second && !after_a_death) me.violation("half a change, and nobody said a word");
  if (after_a_death) guarded.deaths.fetch_add(1);
  guarded.first = guarded.first + 1;
  if (me.random.one_in(8)) linger(me.random.below(20'000));  // long enough to be killed here
  guarded.second = guarded.first;
  guarded.done.fetch_add(1);
  guarded.inside.store(0);
  guarded.lock.release();
}

void work(Board& board, Worker& me) {
  while (!me.over()) {
    increment(board.guarded[me.random.below(board.guarded.size())], me);
    if (me.random.one_in(32)) {
      // A change of one's own first: so the last to come wakes the others, and never do all wait for each other.
      const std::uint64_t seen = board.generation.fetch_add(1) + 1;
      board.events.notify();
      board.events.wait_until([&] { return board.generation != seen || me.over(); }, Deadline::never());
    } else {
      board.generation.fetch_add(1);
      board.events.notify();
    }
    me.count();
  }
  board.events.notify();
}

class LockPart final : public Part {
 public:
  explicit LockPart(int hands) : hands_(hands) {}

  void hire(Crew& crew) override {
    for (int i = 0; i < hands_; ++i) crew.hire([this](Worker& me) { work(*board_, me); });
  }

  void settle(Report& report) override {
    for (Guarded& guarded : board_->guarded) {
      if (guarded.lock.acquire(Deadline::after(10s)) == Acquired::timed_out) {
        report.violation("a lock is wedged");
        continue;
      }
      guarded.lock.release();
      report.tallies["holders died"] += guarded.deaths;
      // A killed worker may have raised `first` and not yet counted it.
      if (guarded.first < guarded.done || guarded.first > guarded.done + guarded.deaths + 1) {
        report.violation("increments: " + std::to_string(guarded.first) + " there, " + std::to_string(guarded.done) +
                         " done");
      }
    }
  }

 private:
  const int hands_;
  const testing::Shared<Board> board_;
};

}  // namespace

std::unique_ptr<Part> lock_part(int hands) { return std::make_unique<LockPart>(hands); }

}  // namespace multiprocessing::storm
