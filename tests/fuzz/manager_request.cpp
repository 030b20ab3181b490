// What clients of a manager may ask, from the network and from the family: a server with one object of each kind.
//
// input = mode u8, requests.  A request = client u8, object u8, op u8, first i8, second i8, thread u8, patience u8,
// values claimed u8, length u8, byte{length} of values.  When all clients have gone, nobody holds anything.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>

#include "fuzz/fuzz.hpp"
#include "manager/own.hpp"
#include "manager/server.hpp"
#include "multiprocessing/manager.hpp"

namespace {

using namespace multiprocessing;
using namespace multiprocessing::managers;
using fuzz::Bytes;

constexpr std::uint8_t of_family = 1;
constexpr std::size_t clients = 3;  // of two processes
constexpr std::array kinds{Kind::queue, Kind::joinable_queue, Kind::dict, Kind::list, Kind::name_space, Kind::value,
                           Kind::array, Kind::lock, Kind::rlock, Kind::semaphore, Kind::bounded_semaphore,
                           Kind::condition, Kind::event, Kind::barrier};

class Counter {
 public:
  unsigned add(int n) { return count_ += static_cast<unsigned>(n); }
  std::string text(const std::vector<std::string>& words) { return words.empty() ? "" : words.back(); }

 private:
  unsigned count_ = 0;
};

class FuzzCall final : public Call {
 public:
  FuzzCall(Server& server, bool family, SessionPtr session)
      : Call(server), family_(family), session_(std::move(session)) {}
  [[nodiscard]] bool is_of_family() const noexcept override { return family_; }
  void ask(Bytes bytes) {
    confirmed();
    request() = std::move(bytes);
    begin(session_, ++number_);
    server().carry_out(*this);
  }
  void confirm() noexcept { confirmed(); }
  void drop() noexcept { give_up(); }
  AnswerHeader last{};

 private:
  void send(const AnswerHeader& header, std::span<const Value* const> values) override {
    for (const Value* const value : values) {
      if (!value->holds.empty() && !family_) throw NotSendable("holds");
    }
    last = header;
  }
  void cannot_answer() noexcept override {}
  const bool family_;
  const SessionPtr session_;
  std::uint64_t number_ = 0;
};

void put_text(Bytes& to, std::string_view text) {
  const ValueHeader header{text.size(), 0, 0};
  fuzz::append(to, std::as_bytes(std::span(&header, 1)));
  fuzz::append(to, std::as_bytes(std::span(text)));
}
template <class T>
void put_value(Bytes& to, const T& value) {
  codec::Encoder out;
  codec::encode(out, value);
  put_text(to, {reinterpret_cast<const char*>(out.bytes().data()), out.size()});
}
Bytes request(RequestHeader header, const Bytes& values) {
  Bytes bytes;
  fuzz::append(bytes, std::as_bytes(std::span(&header, 1)));
  fuzz::append(bytes, values);
  return bytes;
}

// The server, and who is connected to it.
class World {
 public:
  explicit World(bool family) : family_(family) {
    const std::lock_guard gate(server_.gate);
    for (const Kind kind : kinds) make(kind);
    server_.add(serve_object(made(std::make_shared<Counter>())), Kind::own, 0, "own");
    for (std::size_t i = 0; i < clients; ++i) calls_[i] = fresh(i);
  }
  ~World() {
    server_.workers.finish();
    const std::lock_guard gate(server_.gate);
    for (const auto& call : calls_) call->drop();
    for (const SessionPtr& session : sessions_) server_.end_session(session);
    nobody_holds_anything();
    server_.drop_objects();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void take(fuzz::Input& input, std::size_t client, RequestHeader header) {
    header.object = input.byte() % (kinds.size() + 4);
    header.op = static_cast<Op>(input.byte());
    header.first = static_cast<std::int8_t>(input.byte());
    header.second = static_cast<std::int8_t>(input.byte());
    header.thread = input.byte() % 2;
    header.patience_ns = input.byte() % 2 == 0 ? -1 : 0;
    header.values = input.byte();
    if (header.values == 255) header.values = 0xffffffff;
    Bytes values(input.byte());
    for (std::byte& byte : values) byte = static_cast<std::byte>(input.byte());
    // Of the family's requests some name code, which is trusted.
    const bool names_code = header.op == Op::call || (header.op == Op::make && header.first >= static_cast<int>(Kind::own));
    if (family_ && names_code) return;
    {
      const std::lock_guard gate(server_.gate);
      if (calls_[client]->is_open()) {  // a second one: it is cut off, and comes again
        calls_[client]->drop();
        calls_[client] = fresh(client);
      }
      calls_[client]->ask(request(header, values));
      server_.expire(std::chrono::steady_clock::now());
    }
    if (header.op == Op::make || header.op == Op::call) server_.workers.finish();
  }
  void confirm(std::size_t client) {
    const std::lock_guard gate(server_.gate);
    calls_[client]->confirm();
  }

 private:
  std::shared_ptr<FuzzCall> fresh(std::size_t client) {
    return std::make_shared<FuzzCall>(server_, family_, sessions_[client % sessions_.size()]);
  }
  void make(Kind kind) {
    Bytes values;
    put_text(values, "a name " + std::to_string(static_cast<int>(kind)));
    RequestHeader header{0, 0, -1, static_cast<std::int64_t>(kind), 0, Op::make, 1};
    const bool counts = kind == Kind::queue || kind == Kind::joinable_queue || kind == Kind::semaphore ||
                        kind == Kind::bounded_semaphore || kind == Kind::barrier || kind == Kind::value || kind == Kind::array;
    if (counts) {
      put_value(values, std::int64_t{2});
      ++header.values;
    }
    const auto maker = std::make_shared<FuzzCall>(server_, true, std::make_shared<Session>());
    maker->ask(request(header, values));
    FUZZ_REQUIRE(maker->last.status == Status::done);
  }
  // Gate held.
  void nobody_holds_anything() {
    const auto next = std::make_shared<FuzzCall>(server_, true, std::make_shared<Session>());
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      if (kinds[i] != Kind::lock && kinds[i] != Kind::rlock && kinds[i] != Kind::condition) continue;
      const RequestHeader header{ids_of_[i], 7, -1, 0, 0, Op::acquire, 0};
      next->ask(request(header, {}));
      FUZZ_REQUIRE(!next->is_open() && next->last.status == Status::done);
    }
    next->drop();
  }

  Server server_{memory::Ref{}};
  const bool family_;
  const std::array<SessionPtr, 2> sessions_{std::make_shared<Session>(), std::make_shared<Session>()};
  std::array<std::shared_ptr<FuzzCall>, clients> calls_;
  // The condition's own lock comes before it.
  static constexpr std::array<std::uint64_t, kinds.size()> ids_of_{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15};
};

Bytes one(std::uint8_t mode, std::uint8_t client, std::uint8_t object, Op op, std::uint8_t first, const Bytes& values,
          std::uint8_t count) {
  Bytes bytes{std::byte{mode}};
  for (const unsigned byte : {unsigned{client}, unsigned{object}, static_cast<unsigned>(op), unsigned{first}, 0U, 0U, 0U,
                              unsigned{count}, static_cast<unsigned>(values.size())}) {
    bytes.push_back(static_cast<std::byte>(byte));
  }
  fuzz::append(bytes, values);
  return bytes;
}

[[maybe_unused]] const bool registered = [] {
  register_class<Counter>("Counter");
  register_method("Counter.add", &Counter::add);
  register_method("Counter.text", &Counter::text);
  return true;
}();

}  // namespace

FUZZ_TARGET(bytes) {
  Input input(bytes);
  World world((input.byte() & of_family) != 0);
  while (!input.empty()) {
    const std::uint8_t client = input.byte();
    if (client >= 200) {
      world.confirm(client % clients);
    } else {
      world.take(input, client % clients, {});
    }
  }
}

FUZZ_SEEDS() {
  Seeds all;
  Bytes two;
  put_value(two, std::string("key"));
  put_value(two, std::string("value"));
  for (const std::uint8_t mode : {std::uint8_t{0}, of_family}) {
    for (const Op op : {Op::put, Op::get, Op::get_many, Op::close, Op::task_done, Op::join, Op::at, Op::set, Op::contains,
                        Op::erase, Op::pop, Op::set_default, Op::set_many, Op::keys, Op::begin_update, Op::end_update,
                        Op::cancel_update, Op::push_back, Op::insert, Op::extend, Op::find, Op::items, Op::clear,
                        Op::acquire, Op::release_lock, Op::wait, Op::notify, Op::event_set, Op::barrier_abort}) {
      Bytes several = one(mode, 0, 3, op, 1, two, 2);
      for (std::uint8_t object = 1; object <= 15; ++object) {
        const Bytes next = one(mode, object % 3, object, op, 1, two, 2);
        several.insert(several.end(), next.begin() + 1, next.end());
      }
      all.push_back(several);
    }
    Bytes name;
    put_text(name, "a name 3");
    all.push_back(one(mode, 0, 0, Op::find_named, 3, name, 1));
  }
  Bytes call;
  put_value(call, true);
  put_value(call, std::string("Counter.add"));
  put_value(call, fingerprint(typeid(&Counter::add)));
  put_value(call, std::tuple<int>(5));
  all.push_back(one(0, 0, 16, Op::call, 0, call, 4));
  Bytes make;
  put_text(make, "");
  put_value(make, true);
  put_value(make, std::string("Counter"));
  put_value(make, fingerprint(typeid(Counter(std::tuple<>))));
  put_value(make, std::tuple<>());
  all.push_back(one(0, 0, 0, Op::make, static_cast<std::uint8_t>(Kind::own), make, 5));
  return all;
}
