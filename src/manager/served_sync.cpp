// Lock, RLock, Semaphore, BoundedSemaphore, Event.
//
// A client that dies holding a lock has released it, and the next holder is told (owner_died); units of a semaphore that
// it acquired and did not release come back.
#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "manager/locks.hpp"
#include "manager/served.hpp"

namespace multiprocessing::managers {

// --- Lock -------------------------------------------------------------------------------------------------------------

bool ServedLock::acquire(Call& call, std::int64_t depth) {
  if (depth_ != 0 && !(recursive_ && is_callers(call))) {
    call.wait(line_);
    return false;
  }
  if (depth_ == 0) {
    holder_ = call.session().get();
    thread_ = call.header().thread;
    owner_died_ = std::exchange(from_dead_owner_, false);
    involve(call);
  }
  depth_ += depth;
  return true;
}

std::int64_t ServedLock::release_all() {
  const std::int64_t depth = std::exchange(depth_, 0);
  holder_ = nullptr;
  owner_died_ = false;
  line_.retry();
  return depth;
}

void ServedLock::release(Call& call) {
  if (!is_callers(call)) return call.fail(Status::not_held, "release: this thread does not hold the lock");
  call.done();
  if (depth_ == 1) {
    static_cast<void>(release_all());
  } else {
    --depth_;
  }
}

void ServedLock::handle(Call& call, ValueReader& /*in*/) {
  switch (call.op()) {
    case Op::acquire:
      if (acquire(call, 1)) call.done_or_back(1, {}, {});
      return;
    case Op::release_lock: return release(call);
    case Op::owner_died: return call.done(is_callers(call) && owner_died_ ? 1 : 0);
    default: throw_unknown_operation();
  }
}

void ServedLock::take_back(Call& call) {
  if (!is_callers(call)) return;
  if (--depth_ == 0) {
    ++depth_;
    static_cast<void>(release_all());
  }
}

void ServedLock::left(Session& session) {
  if (holder_ != &session) return;
  from_dead_owner_ = true;
  static_cast<void>(release_all());
}

namespace {

// --- Semaphore --------------------------------------------------------------------------------------------------------

class ServedSemaphore final : public Served {
 public:
  ServedSemaphore(std::int64_t value, bool bounded) : value_(value), most_(value), bounded_(bounded) {}

  void handle(Call& call, ValueReader& /*in*/) override {
    switch (call.op()) {
      case Op::acquire: return acquire(call);
      case Op::release_lock: return release(call);
      case Op::get_value: return call.done(value_);
      default: throw_unknown_operation();
    }
  }
  void take_back(Call& call) override {
    const auto owed = owed_.find(call.session().get());
    if (owed != owed_.end() && owed->second > 0) give_back(owed, 1);
  }
  void left(Session& session) override {
    const auto owed = owed_.find(&session);
    if (owed != owed_.end()) give_back(owed, owed->second);
  }

 private:
  using Owed = std::unordered_map<const Session*, std::int64_t>;

  void acquire(Call& call) {
    if (value_ == 0) return call.wait(line_);
    --value_;
    ++owed_[call.session().get()];
    involve(call);
    call.done_or_back(1, {}, {});
  }
  void release(Call& call) {
    if (bounded_ && value_ >= most_) {
      return call.fail(Status::invalid, "release: the semaphore has all the units that it began with");
    }
    ++value_;
    const auto owed = owed_.find(call.session().get());
    if (owed != owed_.end() && --owed->second == 0) owed_.erase(owed);
    call.done();
    line_.retry();
  }
  void give_back(Owed::iterator owed, std::int64_t units) {
    value_ += units;
    owed->second -= units;
    if (owed->second == 0) owed_.erase(owed);
    line_.retry();
  }

  std::int64_t value_;
  const std::int64_t most_;
  const bool bounded_;
  Owed owed_;  // acquired − released, of those where it is more than 0
  Line line_;
};

// --- Event ------------------------------------------------------------------------------------------------------------

class ServedEvent final : public Served {
 public:
  void handle(Call& call, ValueReader& /*in*/) override {
    switch (call.op()) {
      case Op::event_set:
        set_ = true;
        call.done();
        for (Call* const waiting : line_.all()) waiting->done(1);
        return;
      case Op::event_clear: set_ = false; return call.done();
      case Op::is_set: return call.done(set_ ? 1 : 0);
      case Op::wait: return set_ ? call.done(1) : call.wait(line_);
      default: throw_unknown_operation();
    }
  }

 private:
  bool set_ = false;
  Line line_;
};

}  // namespace

ServedPtr make_lock(bool recursive) { return std::make_shared<ServedLock>(recursive); }
ServedPtr make_event() { return std::make_shared<ServedEvent>(); }
ServedPtr make_semaphore(Call& call, ValueReader& in, bool bounded) {
  const std::int64_t value = number(in.next());
  if (value >= 0) return std::make_shared<ServedSemaphore>(value, bounded);
  call.fail(Status::invalid, "semaphore: the value is not negative");
  return nullptr;
}

}  // namespace multiprocessing::managers
