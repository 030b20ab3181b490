// Server: what a manager's process does.  Objects, calls of them, and who made those.
//
//   ports (local_port, network_port)  take requests off their clients, each into a Call, and send its answer
//   Server::carry_out(call)           finds the object and lets it handle the call
//   Served::handle(call, values)      answers, or lets the call wait in a Line, from which it is tried again
//
// Invariants
//   1. One lock, the gate, guards everything in here; handlers run under it and never block.  What may take its time (user
//      code, pools) runs in threads of its own (Workers) and answers under the gate.
//   2. A call is answered at most once, and before its client can make the next one.  A waiting call stands in exactly one
//      Line, and among the deadlines if it has one.
//   3. What a session holds (locks, units, reserved entries, items taken) goes back when it ends: Served::left().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "manager/protocol.hpp"
#include "manager/workers.hpp"
#include "multiprocessing/detail/ref.hpp"

namespace multiprocessing::managers {

class Call;
class Served;
class Server;
using ServedPtr = std::shared_ptr<Served>;

// A value that the server keeps, as bytes, with what they name.
struct Value {
  std::string bytes;
  std::vector<ServedPtr> objects;
  std::vector<memory::Ref> holds;
};

// One client process.
class Session {
 public:
  std::map<std::uint64_t, std::weak_ptr<Served>> involved;  // objects it may hold something of
  std::map<std::uint64_t, std::pair<ServedPtr, std::uint64_t>> told;  // remote: objects it knows, and how often it was told
};
using SessionPtr = std::shared_ptr<Session>;

// Calls that wait, in order.
class Line {
 public:
  Line() = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line();
  [[nodiscard]] bool empty() const noexcept { return calls_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return calls_.size(); }
  [[nodiscard]] Call& front() const noexcept { return *calls_.front(); }
  // Handles them anew from the front, until one has to wait on.  Within itself (what a call was given could not be sent, and
  // is for the next) it only has the outer one go on.
  void retry();
  [[nodiscard]] bool is_retrying() const noexcept { return retrying_; }
  [[nodiscard]] std::vector<Call*> all() const { return {calls_.begin(), calls_.end()}; }

 private:
  friend class Call;
  std::list<Call*> calls_;
  bool retrying_ = false;
  bool once_more_ = false;
};

// A call by a client, of which a channel or a connection has one at a time.  Threads that carry it out share it: when its
// client is gone they find it closed.
class Call : public std::enable_shared_from_this<Call> {
 public:
  explicit Call(Server& server) noexcept : server_(server) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  virtual ~Call();

  [[nodiscard]] Server& server() const noexcept { return server_; }
  [[nodiscard]] const RequestHeader& header() const noexcept { return header_; }
  [[nodiscard]] Op op() const noexcept { return header_.op; }
  [[nodiscard]] const SessionPtr& session() const noexcept { return session_; }
  [[nodiscard]] bool is_open() const noexcept { return open_; }
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }  // of its client's calls
  // Who calls: a thread of a session.
  [[nodiscard]] bool is_of(const Session* session, std::uint64_t thread) const noexcept {
    return session_.get() == session && header_.thread == thread;
  }
  // Whether it may name code by its address.
  [[nodiscard]] virtual bool is_of_family() const noexcept = 0;

  // --- the answer: one of these
  void done(std::int64_t number = 0) { answer(Status::done, number, {}); }
  void done(std::int64_t number, const Value& value) {
    const Value* const one = &value;
    answer(Status::done, number, {&one, 1});
  }
  void done(std::int64_t number, std::span<const Value* const> values) { answer(Status::done, number, values); }
  void time_out() { answer(Status::timed_out, 0, {}); }
  void fail(Status how, std::string_view text);
  void fail_with(const Value& exception);  // of the program's code
  // A new object, or one that was found.
  void done_with(const ServedPtr& object);
  // As done(), but unless the client confirms that it got this, object->take_back(call) is called.
  void done_or_back(std::int64_t number, std::span<const Value* const> values, std::vector<Value> if_lost);

  // --- or it waits
  // To be handled again by line.retry(); when its time is over, object->timed_out(call).  At the head of the line where it
  // has stood before.
  void wait(Line& line);
  [[nodiscard]] bool waits() const noexcept { return line_ != nullptr; }
  void leave_line() noexcept;
  void forget_deadline() noexcept;  // it has none from now on

  // Its values; they stay until it is answered.
  [[nodiscard]] ValueReader values() const noexcept {
    return {std::span<const std::byte>(request_).subspan(sizeof(RequestHeader)), header_.values,
            ValueReader::in_request};
  }

  // For handlers: how far it has come.
  int stage = 0;
  std::int64_t state = 0;
  std::vector<Value> if_lost;

 protected:
  // Begins the call whose bytes are in request().
  void begin(SessionPtr session, std::uint64_t number);
  // The same of one whose bytes are no request: it can only fail.
  void begin_malformed(SessionPtr session, std::uint64_t number) noexcept;
  [[nodiscard]] std::vector<std::byte>& request() noexcept { return request_; }
  // Its client is gone, or will not make this call's effect its own.
  void give_up() noexcept;
  // The client has the answer.
  void confirmed() noexcept;
  // Its client takes no answer at all, not even one that says so: it is left waiting, or sent away.
  virtual void cannot_answer() noexcept = 0;
  // All or nothing: when it throws, the client gets what it threw instead.
  virtual void send(const AnswerHeader& header, std::span<const Value* const> values) = 0;

 private:
  friend class Server;
  friend class Line;
  void answer(Status status, std::int64_t number, std::span<const Value* const> values);
  void undo();
  void answer_instead(Status status, std::string_view text) noexcept;
  void carry_out_again();

  Server& server_;
  SessionPtr session_;
  std::vector<std::byte> request_;
  RequestHeader header_{};
  std::uint64_t number_ = 0;
  bool open_ = false;
  bool unconfirmed_ = false;
  bool again_ = false;  // it is being handled again
  ServedPtr object_;
  std::chrono::steady_clock::time_point deadline_{};
  Line* line_ = nullptr;
  std::list<Call*>::iterator place_{};
  std::optional<std::multimap<std::chrono::steady_clock::time_point, Call*>::iterator> timer_;
};

// An object.
class Served : public std::enable_shared_from_this<Served> {
 public:
  Served() = default;
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;
  virtual ~Served() = default;

  // Throws for values that are not as they should be; the call then fails with that.  What `in` gives is borrowed, until
  // the call is answered.
  virtual void handle(Call& call, ValueReader& in) = 0;
  virtual void timed_out(Call& call) { call.time_out(); }
  virtual void left(Session& /*session*/) {}     // it has ended
  virtual void take_back(Call& /*call*/) {}      // of done_or_back(): `call.if_lost` was lost
  virtual void gave_up_waiting(Call& /*call*/) {}  // its client is gone; it has left its line

  std::uint64_t id = 0;
  Kind kind = Kind::own;
  std::uint64_t type = 0;  // fingerprint of its element types
  std::string name;        // "": none
  memory::Ref companion;

 protected:
  // left() is to be called for the caller's session.
  void involve(const Call& call) { call.session()->involved[id] = weak_from_this(); }
};

class Server {
 public:
  // `root`: the handle of the manager's Root, for companions; empty: no family has clients of it.
  explicit Server(memory::Ref root);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  std::mutex gate;
  Workers workers;

  // --- gate held
  // Runs the job soon, by this thread or another; one that has taken long before, by another.
  void run_soon(std::function<void()> job, bool takes_long);
  // Who takes short jobs: true, it has.
  void set_quick_runner(std::function<bool(std::function<void()>&)> runner) { quick_runner_ = std::move(runner); }
  void carry_out(Call& call);
  [[nodiscard]] Value keep(const ValueView& view, const Call& call);
  [[nodiscard]] ServedPtr find(std::uint64_t object) const;
  // Enters it in the table.  Throws Error when there is no memory.
  void add(const ServedPtr& object, Kind kind, std::uint64_t type, const std::string& name);
  [[nodiscard]] ServedPtr find_named(const std::string& name) const;
  void end_session(const SessionPtr& session) noexcept;
  void expire(std::chrono::steady_clock::time_point now);
  [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> next_deadline() const;
  // Forgets objects that nobody holds any more: a part of them at a time.
  void sweep();
  [[nodiscard]] std::size_t objects() const noexcept { return objects_.size(); }
  // The client of this server in this process, for the program's code in it.  Null: it has no family.
  [[nodiscard]] std::shared_ptr<Client> client_if_any() const;
  // A `make` is finished, by a thread that took its time.
  void finish_make(Call& call, const ServedPtr& object);

  // Wakes who sleeps until next_deadline(); set by who does.
  void set_alarm(void (*wake)(void*), void* whom) noexcept {
    wake_ = wake;
    whom_ = whom;
  }
  [[nodiscard]] bool ending() const noexcept { return ending_; }
  void begin_to_end() noexcept;
  void drop_objects() noexcept;  // at the end: their destructors run here

 private:
  friend class Call;
  void handle(Call& call);
  void manage(Call& call, ValueReader& in);
  void make(Call& call, ValueReader& in);
  // True: the call is answered, for its name has been taken.
  [[nodiscard]] bool found_by_name(Call& call, const std::string& name);

  memory::Ref root_;
  std::function<bool(std::function<void()>&)> quick_runner_;
  std::unordered_map<std::uint64_t, ServedPtr> objects_;
  std::unordered_map<std::string, ServedPtr> names_;
  std::multimap<std::chrono::steady_clock::time_point, Call*> deadlines_;
  std::uint64_t last_id_ = 0;
  std::uint64_t swept_ = 0;
  void (*wake_)(void*) = nullptr;
  void* whom_ = nullptr;
  bool ending_ = false;
};

// What `make` gives for a kind (served.cpp): `in` has its initial values.  Null: not a kind that is made so.
[[nodiscard]] ServedPtr make_served(Kind kind, Call& call, ValueReader& in);

}  // namespace multiprocessing::managers
