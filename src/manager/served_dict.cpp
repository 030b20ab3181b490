// Dict and Namespace.  Keys are compared by their bytes as they travelled; entries keep the order of their insertion.
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "manager/reservations.hpp"
#include "manager/served.hpp"

namespace multiprocessing::managers {
namespace {

class ServedDict final : public Served {
 public:
  void handle(Call& call, ValueReader& in) override {
    switch (call.op()) {
      case Op::at: return at(call, text(in.next()));
      case Op::contains: return call.done(index_.contains(text(in.next())) ? 1 : 0);
      case Op::size: return call.done(static_cast<std::int64_t>(entries_.size()));
      case Op::items: return items(call);
      case Op::keys: return keys(call);
      case Op::set: return set(call, in);
      case Op::set_default: return set_default(call, in);
      case Op::set_many: return set_many(call, in);
      case Op::erase: return erase(call, text(in.next()), false);
      case Op::pop: return erase(call, text(in.next()), true);
      case Op::clear: return clear(call);
      case Op::begin_update: return begin_update(call, in);
      case Op::end_update: return end_update(call, in);
      case Op::cancel_update: return cancel_update(call, text(in.next()));
      default: throw_unknown_operation();
    }
  }
  void left(Session& session) override { reservations_.left(session); }
  void take_back(Call& call) override {  // of pop: it becomes the last entry; of begin_update
    if (call.op() == Op::pop) {
      if (!index_.contains(call.if_lost[0].bytes)) put(std::move(call.if_lost[0]), std::move(call.if_lost[1]));
      return;
    }
    ValueReader in = call.values();
    reservations_.take_back(call, text(in.next()));
  }

  void put(Value key, Value value) {
    const auto known = index_.find(key.bytes);
    if (known != index_.end()) {
      known->second->value = std::move(value);
      return;
    }
    entries_.push_back({std::move(key), std::move(value)});
    index_.emplace(entries_.back().key.bytes, std::prev(entries_.end()));
  }

 private:
  struct Entry {
    Value key;
    Value value;
  };

  void at(Call& call, const std::string& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return call.fail(Status::missing, "no such key");
    call.done(1, found->second->value);
  }

  void items(Call& call) {
    std::vector<const Value*> all;
    all.reserve(2 * entries_.size());
    for (const Entry& entry : entries_) {
      all.push_back(&entry.key);
      all.push_back(&entry.value);
    }
    call.done(static_cast<std::int64_t>(entries_.size()), all);
  }

  void keys(Call& call) {
    std::vector<const Value*> all;
    all.reserve(entries_.size());
    for (const Entry& entry : entries_) all.push_back(&entry.key);
    call.done(static_cast<std::int64_t>(entries_.size()), all);
  }

  void set(Call& call, ValueReader& in) {
    const ValueView key = in.next();
    if (!reservations_.may_change(call, text(key))) return;
    Value kept = call.server().keep(key, call);
    put(std::move(kept), call.server().keep(in.next(), call));
    call.done();
  }

  void set_default(Call& call, ValueReader& in) {
    const ValueView key = in.next();
    const auto found = index_.find(text(key));
    if (found != index_.end()) return call.done(0, found->second->value);
    Value kept = call.server().keep(key, call);
    const std::string entry = kept.bytes;
    put(std::move(kept), call.server().keep(in.next(), call));
    call.done(1, index_.find(entry)->second->value);
  }

  // All of them or, where one has to wait, none yet.
  void set_many(Call& call, ValueReader& in) {
    std::vector<std::pair<ValueView, ValueView>> given;
    while (in.left() > 1) {
      const ValueView key = in.next();
      given.emplace_back(key, in.next());
      if (!reservations_.may_change(call, text(key))) return;
    }
    std::vector<std::pair<Value, Value>> kept;
    for (const auto& [key, value] : given) {
      kept.emplace_back(call.server().keep(key, call), call.server().keep(value, call));
    }
    for (auto& [key, value] : kept) put(std::move(key), std::move(value));
    call.done();
  }

  void erase(Call& call, const std::string& key, bool give) {
    if (!reservations_.may_change(call, key)) return;
    const auto found = index_.find(key);
    if (found == index_.end()) return call.done(0);
    const auto entry = found->second;
    std::vector<Value> taken;
    taken.reserve(2);
    index_.erase(found);
    taken.push_back(std::move(entry->key));
    taken.push_back(std::move(entry->value));
    entries_.erase(entry);
    if (!give) return call.done(1);
    const Value* const value = &taken.back();
    call.done_or_back(1, {&value, 1}, std::move(taken));
  }

  void clear(Call& call) {
    if (!reservations_.may_change_all(call)) return;
    index_.clear();
    entries_.clear();
    call.done();
  }

  // values: key, and what a missing entry begins with, or nothing.
  void begin_update(Call& call, ValueReader& in) {
    const ValueView key = in.next();
    const std::string entry = text(key);
    if (!reservations_.may_change(call, entry)) return;
    auto found = index_.find(entry);
    if (found == index_.end() && in.left() == 0) return call.fail(Status::missing, "update: no such key");
    if (found == index_.end()) {
      Value kept = call.server().keep(key, call);
      put(std::move(kept), call.server().keep(in.next(), call));
      found = index_.find(entry);
    }
    reservations_.begin(call, entry);
    involve(call);
    const Value* const value = &found->second->value;
    call.done_or_back(1, {&value, 1}, {});
  }

  void end_update(Call& call, ValueReader& in) {
    const ValueView key = in.next();
    const std::string entry = text(key);
    if (!reservations_.is_callers(call, entry)) return;
    const auto found = index_.find(entry);
    if (found != index_.end()) found->second->value = call.server().keep(in.next(), call);
    call.done();
    reservations_.end(entry);
  }

  void cancel_update(Call& call, const std::string& key) {
    if (!reservations_.is_callers(call, key)) return;
    call.done();
    reservations_.end(key);
  }

  std::list<Entry> entries_;
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
  Reservations reservations_;
};

// Values of any type, each with its type: the bytes of a name's value begin with the type's fingerprint.
class ServedNamespace final : public Served {
 public:
  void handle(Call& call, ValueReader& in) override {
    switch (call.op()) {
      case Op::at: return at(call, text(in.next()));
      case Op::set: return set(call, in);
      case Op::contains: return call.done(names_.contains(text(in.next())) ? 1 : 0);
      case Op::erase: return call.done(static_cast<std::int64_t>(names_.erase(text(in.next()))));
      case Op::size: return call.done(static_cast<std::int64_t>(names_.size()));
      case Op::keys: return keys(call);
      default: throw_unknown_operation();
    }
  }

 private:
  struct Typed {
    std::uint64_t type = 0;
    Value value;
  };
  // first: the type that is wanted
  void at(Call& call, const std::string& attribute) {
    const auto found = names_.find(attribute);
    if (found == names_.end()) return call.fail(Status::missing, "namespace: nothing has the name '" + attribute + "'");
    if (found->second.type != static_cast<std::uint64_t>(call.header().first)) {
      return call.fail(Status::type_mismatch, "namespace: '" + attribute + "' has a value of another type");
    }
    call.done(1, found->second.value);
  }
  void set(Call& call, ValueReader& in) {
    const std::string attribute = text(in.next());
    names_[attribute] = {static_cast<std::uint64_t>(call.header().first), call.server().keep(in.next(), call)};
    call.done();
  }
  void keys(Call& call) {
    std::vector<Value> all(names_.size());
    std::vector<const Value*> pointers;
    for (const auto& [attribute, value] : names_) {
      codec::Encoder out;
      codec::encode(out, attribute);
      Value& key = all[pointers.size()];
      key = value_of(out);
      pointers.push_back(&key);
    }
    call.done(static_cast<std::int64_t>(all.size()), pointers);
  }
  std::map<std::string, Typed> names_;
};

}  // namespace

ServedPtr make_dict(Call& call, ValueReader& in) {
  auto dict = std::make_shared<ServedDict>();
  while (in.left() > 1) {
    Value key = call.server().keep(in.next(), call);
    dict->put(std::move(key), call.server().keep(in.next(), call));
  }
  return dict;
}

ServedPtr make_namespace() { return std::make_shared<ServedNamespace>(); }

}  // namespace multiprocessing::managers
