// Condition and Barrier.
//
// A client that dies waiting in a barrier breaks it.  One that dies waiting in a condition leaves the line; the lock that
// it held is released as any.
#include <string>
#include <utility>

#include "manager/locks.hpp"
#include "manager/served.hpp"

namespace multiprocessing::managers {
namespace {

// Stages of a wait.
enum Stage : int { waiting = 0, notified = 1, over = 2 };

class ServedCondition final : public Served {
 public:
  explicit ServedCondition(std::shared_ptr<ServedLock> lock) : lock_(std::move(lock)) {}

  void handle(Call& call, ValueReader& in) override {
    switch (call.op()) {
      case Op::acquire:
      case Op::release_lock:
      case Op::owner_died: return lock_->handle(call, in);
      case Op::wait: return call.stage == waiting ? wait(call) : take_lock_again(call);
      case Op::notify: return notify(call);
      default: throw_unknown_operation();
    }
  }

  // Over: it still needs the lock, however long that takes.
  void timed_out(Call& call) override {
    if (call.op() != Op::wait) return call.time_out();
    call.stage = over;
    take_lock_again(call);
  }
  void take_back(Call& call) override { lock_->take_back(call); }

 private:
  void wait(Call& call) {
    if (!lock_->is_callers(call)) return call.fail(Status::not_held, "wait: this thread does not hold the lock");
    call.wait(line_);                     // first: with no time left it is over at once
    if (!call.waits()) return;
    call.state = lock_->release_all();
  }

  void take_lock_again(Call& call) {
    if (call.state == 0) return call.time_out();  // it was never released
    if (lock_->acquire(call, call.state)) call.done(call.stage == notified ? 1 : 0);
  }

  // first: how many; negative: all
  void notify(Call& call) {
    if (!lock_->is_callers(call)) return call.fail(Status::not_held, "notify: this thread does not hold the lock");
    std::int64_t left = call.header().first;
    for (Call* const waiter : line_.all()) {
      if (left-- == 0) break;
      waiter->leave_line();
      waiter->forget_deadline();
      waiter->stage = notified;
      take_lock_again(*waiter);
    }
    call.done();
  }

  const std::shared_ptr<ServedLock> lock_;
  Line line_;
};

class ServedBarrier final : public Served {
 public:
  explicit ServedBarrier(std::int64_t parties) : parties_(parties) {}

  void handle(Call& call, ValueReader& /*in*/) override {
    switch (call.op()) {
      case Op::wait: return wait(call);
      case Op::barrier_reset:
        break_all("the barrier was reset");
        broken_ = false;
        return call.done();
      case Op::barrier_abort: call.done(); return break_for_good("the barrier was aborted");
      case Op::parties: return call.done(parties_);
      case Op::n_waiting: return call.done(static_cast<std::int64_t>(line_.size()));
      case Op::broken: return call.done(broken_ ? 1 : 0);
      default: throw_unknown_operation();
    }
  }
  void timed_out(Call& call) override {
    call.fail(Status::broken, "the barrier is broken: not all parties came in time");
    break_for_good("the barrier is broken: a party has given up waiting");
  }
  void gave_up_waiting(Call& /*call*/) override { break_for_good("the barrier is broken: a party has died"); }

 private:
  void wait(Call& call) {
    if (broken_) return call.fail(Status::broken, "the barrier is broken");
    if (static_cast<std::int64_t>(line_.size()) + 1 < parties_) return call.wait(line_);
    std::int64_t place = 0;
    for (Call* const waiting : line_.all()) waiting->done(place++);
    call.done(place);
  }
  void break_all(const char* why) {
    for (Call* const waiting : line_.all()) waiting->fail(Status::broken, why);
  }
  void break_for_good(const char* why) {
    broken_ = true;
    break_all(why);
  }

  const std::int64_t parties_;
  bool broken_ = false;
  Line line_;
};

}  // namespace

// values: nothing, or the lock
ServedPtr make_condition(Call& call, ValueReader& in) {
  if (in.left() == 0) {
    auto own = std::make_shared<ServedLock>(true);
    call.server().add(own, Kind::rlock, 0, "");
    return std::make_shared<ServedCondition>(std::move(own));
  }
  const Value given = call.server().keep(in.next(), call);
  auto lock = given.objects.empty() ? nullptr : std::dynamic_pointer_cast<ServedLock>(given.objects.front());
  if (lock != nullptr) return std::make_shared<ServedCondition>(std::move(lock));
  call.fail(Status::invalid, "condition: it takes a Lock or an RLock of the same manager");
  return nullptr;
}

ServedPtr make_barrier(Call& call, ValueReader& in) {
  const std::int64_t parties = number(in.next());
  if (parties >= 1) return std::make_shared<ServedBarrier>(parties);
  call.fail(Status::invalid, "barrier: parties are at least 1");
  return nullptr;
}

}  // namespace multiprocessing::managers
