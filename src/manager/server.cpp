#include "manager/server.hpp"

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "base/log.hpp"
#include "manager/channel.hpp"
#include "manager/local_client.hpp"
#include "manager/served.hpp"
#include "memory/arena.hpp"
#include "multiprocessing/detail/pool_core.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::managers {

using Clock = std::chrono::steady_clock;

namespace {
constexpr std::size_t most_kept = 64 * 1024;  // of a request's memory, for the next
}  // namespace

// --- Line -------------------------------------------------------------------------------------------------------------

Line::~Line() {
  for (Call* const call : all()) call->leave_line();
}

void Line::retry() {
  once_more_ = true;
  if (retrying_) return;
  retrying_ = true;
  while (!calls_.empty() && std::exchange(once_more_, false)) {
    Call& call = front();
    call.leave_line();
    call.carry_out_again();
    if (call.line_ != this) once_more_ = true;
  }
  retrying_ = false;
}

// --- Call -------------------------------------------------------------------------------------------------------------

Call::~Call() {
  leave_line();
  forget_deadline();
}

void Call::begin(SessionPtr session, std::uint64_t number) {
  if (request_.size() < sizeof(RequestHeader)) codec::throw_truncated(sizeof(RequestHeader), request_.size());
  header_ = read_plain<RequestHeader>(request_);
  session_ = std::move(session);
  number_ = number;
  open_ = true;
  stage = 0;
  state = 0;
  const auto now = Clock::now();
  const std::chrono::nanoseconds patience(header_.patience_ns);
  deadline_ = header_.patience_ns < 0 || patience > Clock::time_point::max() - now ? Clock::time_point::max()
                                                                                     : now + patience;
}

void Call::begin_malformed(SessionPtr session, std::uint64_t number) noexcept {
  header_ = {};
  session_ = std::move(session);
  number_ = number;
  open_ = true;
}

void Call::answer(Status status, std::int64_t number, std::span<const Value* const> values) {
  if (!open_) return;
  leave_line();
  forget_deadline();
  open_ = false;
  AnswerHeader header{};
  header.number = number;
  header.status = status;
  header.values = static_cast<std::uint32_t>(values.size());
  header.confirm = unconfirmed_ ? 1 : 0;
  try {
    send(header, values);
  } catch (const NotSendable& e) {  // its client takes nothing like it
    answer_instead(Status::not_sendable, e.what());
  } catch (const std::exception& e) {  // there is no memory for it
    answer_instead(Status::error, e.what());
  }
  if (unconfirmed_) return;  // what is in the request may be needed to take it back
  object_.reset();
  if (request_.capacity() > most_kept) request_ = {};
}

// Whoever answers may be serving somebody else at the time, or nobody: nothing comes back to him.
void Call::answer_instead(Status status, std::string_view text) noexcept {
  try {
    undo();
    Value what;
    what.bytes = text;
    const Value* const one = &what;
    send({0, status, 1, 0, 0}, {&one, 1});
  } catch (const std::exception& e) {
    base::log(LogLevel::warning, "manager: a client cannot be answered: ", e.what());
    cannot_answer();
  }
}

// What was done for this call is undone, where it would be lost.
void Call::undo() {
  if (!std::exchange(unconfirmed_, false)) return;
  const ServedPtr object = object_;
  if (object != nullptr) object->take_back(*this);
  if_lost.clear();
}

void Call::fail(Status how, std::string_view text) {
  Value what;
  what.bytes = text;
  const Value* const one = &what;
  answer(how, 0, {&one, 1});
}

void Call::fail_with(const Value& exception) {
  const Value* const one = &exception;
  answer(Status::thrown, 0, {&one, 1});
}

void Call::done_with(const ServedPtr& object) {
  Value what;
  what.objects.push_back(object);
  done(static_cast<std::int64_t>(object->id), what);
}

void Call::done_or_back(std::int64_t number, std::span<const Value* const> values, std::vector<Value> lost) {
  if_lost = std::move(lost);
  unconfirmed_ = true;
  answer(Status::done, number, values);
}

void Call::confirmed() noexcept {
  if (!unconfirmed_) return;
  unconfirmed_ = false;
  if_lost.clear();
  object_.reset();
}

void Call::give_up() noexcept {
  const ServedPtr object = object_;
  const bool waited = waits();
  leave_line();
  forget_deadline();
  open_ = false;
  try {
    if (object != nullptr && waited) object->gave_up_waiting(*this);
    undo();
  } catch (const std::exception& e) {
    base::log(LogLevel::error, "manager: what a client left could not be taken back: ", e.what());
  }
  if_lost.clear();
  object_.reset();
}

void Call::wait(Line& line) {
  if (deadline_ <= Clock::now()) {
    forget_deadline();
    return object_->timed_out(*this);
  }
  place_ = line.calls_.insert(again_ ? line.calls_.begin() : line.calls_.end(), this);
  line_ = &line;
  if (timer_ || deadline_ == Clock::time_point::max()) return;
  timer_ = server_.deadlines_.emplace(deadline_, this);
  if (*timer_ == server_.deadlines_.begin() && server_.wake_ != nullptr) server_.wake_(server_.whom_);
}

void Call::leave_line() noexcept {
  if (line_ == nullptr) return;
  line_->calls_.erase(place_);
  line_ = nullptr;
}

void Call::forget_deadline() noexcept {
  deadline_ = Clock::time_point::max();
  if (!timer_) return;
  server_.deadlines_.erase(*timer_);
  timer_.reset();
}

void Call::carry_out_again() {
  again_ = true;
  server_.handle(*this);
  again_ = false;
}

// --- Server -----------------------------------------------------------------------------------------------------------

Server::Server(memory::Ref root) : root_(std::move(root)) {}
Server::~Server() = default;

void Server::run_soon(std::function<void()> job, bool takes_long) {
  if (!takes_long && quick_runner_ && quick_runner_(job)) return;
  workers.run(std::move(job));
}

ServedPtr Server::find(std::uint64_t object) const {
  const auto found = objects_.find(object);
  return found != objects_.end() ? found->second : nullptr;
}

ServedPtr Server::find_named(const std::string& name) const {
  const auto found = names_.find(name);
  return found != names_.end() ? found->second : nullptr;
}

void Server::add(const ServedPtr& object, Kind kind, std::uint64_t type, const std::string& name) {
  object->id = ++last_id_;
  object->kind = kind;
  object->type = type;
  object->name = name;
  if (root_) {
    object->companion = memory::Ref::create(memory::Kind::companion, sizeof(Companion));
    new (object->companion.address()) Companion{root_.id(), object->id};
  }
  objects_[object->id] = object;
  if (!name.empty()) names_[name] = object;
}

Value Server::keep(const ValueView& view, const Call& call) {
  Value value;
  value.bytes.assign(reinterpret_cast<const char*>(view.bytes.data()), view.bytes.size());
  for (std::size_t i = 0; i < view.object_count(ValueReader::in_request); ++i) {
    const auto id = read_plain<std::uint64_t>(view.objects.subspan(i * ValueReader::in_request));
    ServedPtr object = find(id);
    if (object == nullptr) throw Error("manager: a value names an object that is not there any more");
    value.objects.push_back(std::move(object));
  }
  if (view.handle_count() != 0 && !call.is_of_family()) codec::throw_malformed("handles from another machine");
  for (std::size_t i = 0; i < view.handle_count(); ++i) value.holds.push_back(memory::Ref::adopt(view.handle(i)));
  return value;
}

void Server::carry_out(Call& call) {
  call.again_ = false;
  call.object_ = call.header_.object == manager_object ? nullptr : find(call.header_.object);
  if (call.object_ == nullptr && call.header_.object != manager_object) {
    return call.fail(Status::error, "manager: the object is not there any more");
  }
  handle(call);
}

// An exception in a handler is the caller's: of bytes that are malformed, of no memory.
void Server::handle(Call& call) {
  const ServedPtr object = call.object_;  // answering lets go of it
  try {
    ValueReader in = call.values();
    if (object != nullptr) {
      object->handle(call, in);
    } else {
      manage(call, in);
    }
  } catch (const NotSendable& e) {
    call.fail(Status::not_sendable, e.what());
  } catch (const std::exception& e) {
    call.fail(Status::error, e.what());
  }
}

void Server::manage(Call& call, ValueReader& in) {
  switch (call.op()) {
    case Op::make: return make(call, in);
    case Op::release: {
      const auto known = call.session()->told.find(static_cast<std::uint64_t>(call.header().first));
      if (known == call.session()->told.end()) return call.done();
      std::uint64_t& times = known->second.second;
      times -= std::min(times, static_cast<std::uint64_t>(call.header().second));
      if (times == 0) call.session()->told.erase(known);
      return call.done();
    }
    case Op::find_named: {
      const std::string name = text(in.next());
      if (!found_by_name(call, name)) call.fail(Status::missing, "manager: nothing has the name '" + name + "'");
      return;
    }
    default: codec::throw_malformed("an operation that managers do not have");
  }
}

bool Server::found_by_name(Call& call, const std::string& name) {
  if (name.empty()) return false;
  const ServedPtr known = find_named(name);
  if (known == nullptr) return false;
  if (known->kind == static_cast<Kind>(call.header().first) &&
      known->type == static_cast<std::uint64_t>(call.header().second)) {
    call.done_with(known);
  } else {
    call.fail(Status::type_mismatch, "manager: '" + name + "' is the name of an object of another type");
  }
  return true;
}

// first: kind, second: fingerprint of its type; values: name, what the kind takes.
void Server::make(Call& call, ValueReader& in) {
  const ValueView name = in.next();
  if (found_by_name(call, text(name))) return;
  const ServedPtr object = make_served(static_cast<Kind>(call.header().first), call, in);
  if (object != nullptr) finish_make(call, object);  // else it is made by another thread, or has failed
}

void Server::finish_make(Call& call, const ServedPtr& object) {
  if (!call.is_open()) return;
  ValueReader in = call.values();
  const std::string name = text(in.next());
  if (found_by_name(call, name)) return;
  add(object, static_cast<Kind>(call.header().first), static_cast<std::uint64_t>(call.header().second), name);
  call.done_with(object);
}

std::shared_ptr<Client> Server::client_if_any() const { return root_ ? local_client(root_) : nullptr; }

void Server::end_session(const SessionPtr& session) noexcept {
  const auto involved = std::exchange(session->involved, {});
  for (const auto& [id, weak] : involved) {
    const ServedPtr object = weak.lock();
    if (object == nullptr) continue;
    try {
      object->left(*session);
    } catch (const std::exception& e) {
      base::log(LogLevel::error, "manager: what a client held could not be given back: ", e.what());
    }
  }
  session->told.clear();
}

void Server::expire(Clock::time_point now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Call& call = *deadlines_.begin()->second;
    call.leave_line();
    call.forget_deadline();
    const ServedPtr object = call.object_;
    if (object != nullptr) object->timed_out(call);
  }
}

std::optional<Clock::time_point> Server::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

// An object is held by its name, by values, calls and remote sessions (as ServedPtr), and by members of the family (as
// Ref to its companion).
void Server::sweep() {
  std::size_t looks = std::max<std::size_t>(256, objects_.size() / 10);
  std::vector<ServedPtr> gone;
  {
    std::optional<std::lock_guard<std::mutex>> arena_gate;
    std::optional<memory::Arena::Locked> locked;
    const std::size_t buckets = objects_.bucket_count();
    for (std::size_t seen = 0; seen < buckets && looks > 0; ++seen, ++swept_) {
      for (auto object = objects_.begin(swept_ % buckets); object != objects_.end(swept_ % buckets); ++object) {
        --looks;
        const ServedPtr& one = object->second;
        if (one.use_count() != 1 || !one->name.empty()) continue;
        if (one->companion) {
          memory::Arena& arena = memory::Arena::get();
          if (!locked) {
            arena_gate.emplace(arena.gate);
            locked.emplace(arena);
          }
          if (!memory::is_unshared(arena, one->companion, 1)) continue;
        }
        gone.push_back(one);
        if (looks == 0) break;
      }
    }
  }
  for (const ServedPtr& one : gone) objects_.erase(one->id);
}

void Server::drop_objects() noexcept {
  names_.clear();
  objects_.clear();
}

void Server::begin_to_end() noexcept {
  ending_ = true;
  if (wake_ != nullptr) wake_(whom_);
}

}  // namespace multiprocessing::managers
