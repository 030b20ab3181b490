// Pools, and results of their calls.  A pool is made, ended and given calls by threads of their own, one at a time, for
// each of that may take a while; results come on the pool's own thread.
#include <deque>
#include <exception>
#include <memory>
#include <utility>

#include "manager/client.hpp"
#include "manager/code.hpp"
#include "manager/own.hpp"
#include "manager/served.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/manager_pool.hpp"

namespace multiprocessing::managers {

void require_family(const Object& pool) {
  if (pool.client().takes_handles()) return;
  throw NotSendable(
      "a pool of a remote manager takes no calls: its functions are not known there.  Feed workers that run there "
      "through a queue of the manager");
}

namespace {

// The same of what did not ask for it: processes are started and ended for the family only.
void require_family_call(const Call& call) {
  if (!call.is_of_family()) throw NotSendable("a pool of a remote manager takes no calls");
}

class ServedResult final : public Served {
 public:
  void handle(Call& call, ValueReader& /*in*/) override {
    switch (call.op()) {
      case Op::get:
        if (!ready_) return call.wait(line_);
        return succeeded_ ? call.done(0, value_) : call.fail_with(value_);
      case Op::wait: return ready_ ? call.done() : call.wait(line_);
      case Op::ready: return call.done(ready_ ? 1 : 0);
      case Op::successful:
        if (ready_) return call.done(succeeded_ ? 1 : 0);
        return call.fail(Status::invalid, "successful: the result is not ready yet");
      default: throw_unknown_operation();
    }
  }
  // Gate held.
  void set(bool succeeded, Value value) {
    if (std::exchange(ready_, true)) return;
    succeeded_ = succeeded;
    value_ = std::move(value);
    line_.retry();
  }

 private:
  bool ready_ = false;
  bool succeeded_ = false;
  Value value_;
  Line line_;
};

class Sink final : public ResultSink {
 public:
  Sink(Server& server, std::shared_ptr<ServedResult> result) : server_(server), result_(std::move(result)) {}
  void succeeded(const std::function<void(codec::Encoder&)>& write) override {
    codec::Encoder out;
    WithinServer within(server_);
    write(out);
    const std::lock_guard lock(server_.gate);
    result_->set(true, within.value(out));
  }
  void failed(const std::exception_ptr& error) override {
    Value what = encoded_exception(error);
    const std::lock_guard lock(server_.gate);
    result_->set(false, std::move(what));
  }

 private:
  Server& server_;
  const std::shared_ptr<ServedResult> result_;
};

class ServedPool final : public Served {
 public:
  explicit ServedPool(std::unique_ptr<Pool> pool, Server& server) : pool_(std::move(pool)), server_(server) {}
  ~ServedPool() override {
    server_.workers.run([pool = std::shared_ptr<Pool>(std::move(pool_))] { pool->terminate(); });
  }

  void handle(Call& call, ValueReader& /*in*/) override {
    require_family_call(call);
    calls_.push_back(call.shared_from_this());
    if (!running_) run_next();
  }

 private:
  void run_next() {
    while (!calls_.empty() && !calls_.front()->is_open()) calls_.pop_front();
    running_ = !calls_.empty();
    if (!running_) return;
    server_.workers.run([self = std::static_pointer_cast<ServedPool>(shared_from_this()),
                         call = std::move(calls_.front())] { self->run(call); });
    calls_.pop_front();
  }

  void run(const std::shared_ptr<Call>& call) {
    // join() waits for tasks, and terminate() is there to end that.
    const bool holds_up = call->op() == Op::pool_join;
    if (holds_up) next();
    try {
      carry_out(*call);
    } catch (...) {
      fail_thrown(*call);
    }
    if (!holds_up) next();
  }

  void next() {
    const std::lock_guard lock(server_.gate);
    run_next();
  }

  void carry_out(Call& call) {
    switch (call.op()) {
      case Op::call: return submit(call);
      case Op::pool_close: pool_->close(); break;
      case Op::pool_terminate: pool_->terminate(); break;
      case Op::pool_join: pool_->join(); break;
      default: throw_unknown_operation();
    }
    const std::lock_guard lock(server_.gate);
    call.done();
  }

  void submit(Call& call) {
    ValueReader in = call.values();
    const Code code(call, in);
    if (code.trampoline == nullptr) codec::throw_malformed("a pool's function by a registered name");
    const ValueView arguments = in.next();
    auto result = std::make_shared<ServedResult>();
    const auto sink = std::make_shared<Sink>(server_, result);
    const WithinServer within(server_, &arguments);
    codec::Decoder given(arguments.bytes);
    reinterpret_cast<Submit>(const_cast<void*>(code.trampoline))(*pool_, given, sink);
    const std::lock_guard lock(server_.gate);
    server_.add(result, Kind::result, 0, "");
    call.done_with(result);
  }

  std::unique_ptr<Pool> pool_;
  Server& server_;
  std::deque<std::shared_ptr<Call>> calls_;
  bool running_ = false;
};

void make_by_thread(Call& call, int processes) {
  Server& server = call.server();
  try {
    auto pool = std::make_shared<ServedPool>(std::make_unique<Pool>(PoolOptions{.processes = processes}), server);
    const std::lock_guard lock(server.gate);
    server.finish_make(call, pool);
  } catch (...) {
    fail_thrown(call);
  }
}

}  // namespace

ServedPtr make_pool(Call& call, ValueReader& in) {
  require_family_call(call);
  const std::int64_t processes = number(in.next());
  call.server().workers.run(
      [shared = call.shared_from_this(), processes] { make_by_thread(*shared, static_cast<int>(processes)); });
  return nullptr;
}

}  // namespace multiprocessing::managers
