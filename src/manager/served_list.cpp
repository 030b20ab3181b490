// List, Array (a list whose length stays) and Value (an array of one).
#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "manager/reservations.hpp"
#include "manager/served.hpp"

namespace multiprocessing::managers {
namespace {

class ServedList final : public Served {
 public:
  explicit ServedList(bool grows) : grows_(grows) {}

  void add(Value item) { items_.push_back(std::move(item)); }

  void handle(Call& call, ValueReader& in) override {
    switch (call.op()) {
      case Op::at: return at(call);
      case Op::size: return call.done(static_cast<std::int64_t>(items_.size()));
      case Op::items: return items(call);
      case Op::find: return find(call, text(in.next()));
      case Op::count: return count(call, text(in.next()));
      case Op::end_update: return end_update(call, in);
      case Op::cancel_update: return cancel_update(call);
      default: break;
    }
    if (!reservations_.may_change(call, whole)) return;
    switch (call.op()) {
      case Op::set: return set(call, in);
      case Op::begin_update: return begin_update(call);
      case Op::reverse: return reverse(call);
      default: break;
    }
    if (!grows_) throw_unknown_operation();
    switch (call.op()) {
      case Op::push_back: return extend(call, in);
      case Op::extend: return extend(call, in);
      case Op::insert: return insert(call, in);
      case Op::erase: return pop(call, false);
      case Op::pop: return pop(call, true);
      case Op::clear: return clear(call);
      default: throw_unknown_operation();
    }
  }
  void left(Session& session) override { reservations_.left(session); }
  void take_back(Call& call) override {  // of pop, to where it was; of begin_update
    if (call.op() != Op::pop) return reservations_.take_back(call, whole);
    const std::int64_t at = std::min(call.state, static_cast<std::int64_t>(items_.size()));
    items_.insert(items_.begin() + at, std::move(call.if_lost.front()));
  }

 private:
  static constexpr char whole[] = "";  // an update of one element keeps all where they are

  // The element `first` names, from the end where it is negative; fails the call where there is none.
  [[nodiscard]] Value* element(Call& call) {
    const std::int64_t size = static_cast<std::int64_t>(items_.size());
    std::int64_t i = call.header().first;
    if (i < 0) i += size;
    if (i >= 0 && i < size) return &items_[static_cast<std::size_t>(i)];
    call.fail(Status::missing,
              "index " + std::to_string(call.header().first) + " of a list of " + std::to_string(size) + " elements");
    return nullptr;
  }

  void at(Call& call) {
    if (const Value* const item = element(call)) call.done(1, *item);
  }
  void set(Call& call, ValueReader& in) {
    Value* const item = element(call);
    if (item == nullptr) return;
    *item = call.server().keep(in.next(), call);
    call.done();
  }
  void items(Call& call) {
    std::vector<const Value*> all;
    all.reserve(items_.size());
    for (const Value& item : items_) all.push_back(&item);
    call.done(static_cast<std::int64_t>(items_.size()), all);
  }
  void find(Call& call, const std::string& what) {
    const auto found = std::ranges::find(items_, what, &Value::bytes);
    call.done(found == items_.end() ? -1 : found - items_.begin());
  }
  void count(Call& call, const std::string& what) { call.done(std::ranges::count(items_, what, &Value::bytes)); }
  void reverse(Call& call) {
    std::ranges::reverse(items_);
    call.done();
  }
  void extend(Call& call, ValueReader& in) {
    std::vector<Value> added;  // all or nothing
    while (in.left() > 0) added.push_back(call.server().keep(in.next(), call));
    std::ranges::move(added, std::back_inserter(items_));
    call.done();
  }
  // As Python's: an index beyond the end is the end.
  void insert(Call& call, ValueReader& in) {
    const std::int64_t size = static_cast<std::int64_t>(items_.size());
    std::int64_t i = call.header().first;
    if (i < 0) i += size;
    i = std::clamp<std::int64_t>(i, 0, size);
    items_.insert(items_.begin() + i, call.server().keep(in.next(), call));
    call.done();
  }
  void pop(Call& call, bool give) {
    Value* const item = element(call);
    if (item == nullptr) return;
    std::vector<Value> taken;
    taken.push_back(std::move(*item));
    call.state = call.header().first;
    if (call.state < 0) call.state += static_cast<std::int64_t>(items_.size());
    items_.erase(items_.begin() + call.state);
    if (!give) return call.done(1);
    const Value* const one = taken.data();
    call.done_or_back(1, {&one, 1}, std::move(taken));
  }
  void clear(Call& call) {
    items_.clear();
    call.done();
  }
  void begin_update(Call& call) {
    const Value* const item = element(call);
    if (item == nullptr) return;
    reservations_.begin(call, whole);
    involve(call);
    call.done_or_back(1, {&item, 1}, {});
  }
  void end_update(Call& call, ValueReader& in) {
    if (!reservations_.is_callers(call, whole)) return;
    Value* const item = element(call);
    if (item == nullptr) return;
    *item = call.server().keep(in.next(), call);
    call.done();
    reservations_.end(whole);
  }
  void cancel_update(Call& call) {
    if (!reservations_.is_callers(call, whole)) return;
    call.done();
    reservations_.end(whole);
  }

  const bool grows_;
  std::deque<Value> items_;
  Reservations reservations_;
};

ServedPtr make(Call& call, ValueReader& in, bool grows) {
  auto list = std::make_shared<ServedList>(grows);
  while (in.left() > 0) list->add(call.server().keep(in.next(), call));
  return list;
}

}  // namespace

ServedPtr make_list(Call& call, ValueReader& in) { return make(call, in, true); }
ServedPtr make_array(Call& call, ValueReader& in) { return make(call, in, false); }
ServedPtr make_value(Call& call, ValueReader& in) { return make(call, in, false); }

}  // namespace multiprocessing::managers
