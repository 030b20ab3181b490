// Queue and JoinableQueue.
//
// A client that dies …                          what happens
//   waiting in put() or get()                    its call leaves the line
//   while the answer of get() is on its way      the item is at the head of the queue again
//   after it got an item of a JoinableQueue,     the item is handed out once more, and counts as done when that one dies
//     before task_done()                          with it, too: join() says so
#include <algorithm>
#include <deque>
#include <iterator>
#include <string>
#include <utility>

#include "manager/served.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::managers {
namespace {

class ServedQueue final : public Served {
 public:
  ServedQueue(std::size_t maxsize, bool joinable) : maxsize_(maxsize), joinable_(joinable) {}

  void handle(Call& call, ValueReader& in) override {
    switch (call.op()) {
      case Op::put: return put(call, in);
      case Op::put_many: return put_many(call, in);
      case Op::get: return get(call, 1);
      case Op::get_many: return get(call, static_cast<std::size_t>(std::max<std::int64_t>(call.header().first, 1)));
      case Op::close: return close(call);
      case Op::closed: return call.done(closed_ ? 1 : 0);
      case Op::size: return call.done(static_cast<std::int64_t>(items_.size()));
      case Op::maxsize: return call.done(static_cast<std::int64_t>(maxsize_));
      case Op::task_done: return task_done(call);
      case Op::join: return join(call);
      default: throw_unknown_operation();
    }
  }

  // Of put_many(): what found room is in.
  void timed_out(Call& call) override {
    if (call.op() == Op::put_many) return call.done(call.state);
    call.time_out();
  }

  void take_back(Call& call) override {
    std::vector<Value> lost = std::move(call.if_lost);
    if (joinable_) forget_taken(*call.session(), lost.size());
    for (auto value = lost.rbegin(); value != lost.rend(); ++value) items_.push_front({std::move(*value), 0});
    getters_.retry();
  }

  void left(Session& session) override {
    const auto mine = taken_.find(&session);
    if (mine == taken_.end()) return;
    std::deque<Item> undone = std::move(mine->second);
    taken_.erase(mine);
    for (auto item = undone.rbegin(); item != undone.rend(); ++item) {
      if (item->deaths++ == 0) {
        items_.push_front(std::move(*item));
      } else {
        ++lost_;
        --unfinished_;
      }
    }
    getters_.retry();
    joiners_.retry();
  }

 private:
  struct Item {
    Value value;
    int deaths = 0;  // of those who had taken it
  };

  [[nodiscard]] bool is_full() const noexcept { return maxsize_ != 0 && items_.size() >= maxsize_; }

  void push(Value value) {
    items_.push_back({std::move(value), 0});
    ++unfinished_;
  }

  void put(Call& call, ValueReader& in) {
    if (closed_) return call.fail(Status::closed, "put: the queue is closed");
    if (is_full()) return call.wait(putters_);
    push(call.server().keep(in.next(), call));
    call.done();
    getters_.retry();
  }

  void put_many(Call& call, ValueReader& in) {
    for (std::int64_t done = 0; done < call.state; ++done) in.next();  // they are in already
    while (in.left() > 0) {
      if (closed_) return call.fail(Status::closed, "put_many: the queue is closed");
      if (is_full()) {
        call.wait(putters_);
        return getters_.retry();
      }
      push(call.server().keep(in.next(), call));
      ++call.state;
    }
    call.done(call.state);
    getters_.retry();
  }

  void get(Call& call, std::size_t most) {
    if (items_.empty() && closed_) return call.fail(Status::closed, "get: the queue is closed and empty");
    if (items_.empty()) return call.wait(getters_);
    std::vector<Value> values;
    for (; most > 0 && !items_.empty(); --most) {
      if (joinable_) {
        taken_[call.session().get()].push_back(items_.front());
        involve(call);
      }
      values.push_back(std::move(items_.front().value));
      items_.pop_front();
    }
    std::vector<const Value*> pointers;
    pointers.reserve(values.size());
    for (const Value& value : values) pointers.push_back(&value);
    call.done_or_back(static_cast<std::int64_t>(values.size()), pointers, std::move(values));
    putters_.retry();
  }

  void close(Call& call) {
    closed_ = true;
    call.done();
    for (Line* const line : {&putters_, &getters_}) {
      while (!line->empty()) line->retry();  // all of them get Closed
    }
  }

  void task_done(Call& call) {
    if (!joinable_) throw_unknown_operation();
    auto mine = taken_.find(call.session().get());
    // As in Python anybody may say so; the oldest of the caller's own, if it has any.
    if (mine == taken_.end()) {
      mine = std::find_if(taken_.begin(), taken_.end(), [](const auto& one) { return !one.second.empty(); });
    }
    if (mine == taken_.end() || mine->second.empty()) {
      return call.fail(Status::invalid, "task_done() was called more often than items were taken");
    }
    mine->second.pop_front();
    if (mine->second.empty()) taken_.erase(mine);
    --unfinished_;
    call.done();
    joiners_.retry();
  }

  void join(Call& call) {
    if (unfinished_ != 0) return call.wait(joiners_);
    if (const auto lost = std::exchange(lost_, 0); lost != 0) {
      return call.fail(Status::error, "join: " + std::to_string(lost) +
                                          " items were not done: each was taken twice, by processes that died with it");
    }
    call.done();
  }

  void forget_taken(Session& session, std::size_t count) {
    const auto mine = taken_.find(&session);
    if (mine == taken_.end()) return;
    for (; count > 0 && !mine->second.empty(); --count) mine->second.pop_back();
    if (mine->second.empty()) taken_.erase(mine);
  }

  const std::size_t maxsize_;
  const bool joinable_;
  bool closed_ = false;
  std::deque<Item> items_;
  std::unordered_map<const Session*, std::deque<Item>> taken_;  // of a joinable queue: not done yet
  std::size_t unfinished_ = 0;
  std::size_t lost_ = 0;
  Line getters_;
  Line putters_;
  Line joiners_;
};

}  // namespace

ServedPtr make_queue(Call& call, ValueReader& in, bool joinable) {
  const std::int64_t maxsize = number(in.next());
  static_cast<void>(call);
  return std::make_shared<ServedQueue>(maxsize > 0 ? static_cast<std::size_t>(maxsize) : 0, joinable);
}

}  // namespace multiprocessing::managers
