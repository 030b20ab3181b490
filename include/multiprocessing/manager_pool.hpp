// Pools of a manager: Manager::pool(), as Python's SyncManager.Pool().
//
//   mp::PoolProxy pool = manager.pool(4);                    // its workers are children of the manager's server
//   int one = pool.apply(test, 1);
//   mp::ResultProxy<int> later = pool.apply_async(test, 2);
//   std::vector<int> all = pool.map(test, numbers);
//
// Any process of the family may use the pool; it outlives the one that made it.  What tasks throw arrives as from a Pool
// (pool.hpp).  The workers see the memory of the server, which is that of the program when the Manager was made.
//
// The functions are named by where they are in the program: a pool of a remote manager takes no calls (NotSendable).
// Feed workers on other machines through a queue.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/callable.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/proxies.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace managers {

// Where what came of a pool's call goes, in the server.
class ResultSink {
 public:
  ResultSink() = default;
  ResultSink(const ResultSink&) = delete;
  ResultSink& operator=(const ResultSink&) = delete;
  virtual ~ResultSink() = default;
  virtual void succeeded(const std::function<void(codec::Encoder&)>& write) = 0;
  virtual void failed(const std::exception_ptr& error) = 0;
};
using Submit = void (*)(Pool& pool, codec::Decoder& in, const std::shared_ptr<ResultSink>& sink);

template <class R>
void report(const AsyncResult<R>& later, const std::shared_ptr<ResultSink>& sink) {
  if constexpr (std::is_void_v<R>) {
    later.on_success([sink] { sink->succeeded([](codec::Encoder&) {}); });
  } else {
    later.on_success(
        [sink](const R& value) { sink->succeeded([&value](codec::Encoder& out) { codec::encode(out, value); }); });
  }
  later.on_error([sink](const std::exception_ptr& error) { sink->failed(error); });
}

template <class F, class Arguments>
void submit_call(Pool& pool, codec::Decoder& in, const std::shared_ptr<ResultSink>& sink) {
  const F function = codec::decode_callable<F>(in);
  const auto arguments = codec::decode<Arguments>(in);
  std::apply([&](const auto&... each) { report(pool.apply_async(function, each...), sink); }, arguments);
}

template <class F, class Item>
void submit_map(Pool& pool, codec::Decoder& in, const std::shared_ptr<ResultSink>& sink) {
  const F function = codec::decode_callable<F>(in);
  const auto items = codec::decode<std::vector<Item>>(in);
  report(pool.map_async(function, items), sink);
}

void require_family(const Object& pool);  // throws NotSendable
}  // namespace managers

// What a call of a PoolProxy gives: as AsyncResult.
template <class R>
class ResultProxy : public managers::ProxyBase {
  using Op = managers::Op;
  using Deadline = managers::Deadline;

 public:
  explicit ResultProxy(codec::Undecoded) noexcept {}
  explicit ResultProxy(managers::Object object) noexcept : ProxyBase(std::move(object)) {}
  R get() const { return get_until(Deadline::never()); }
  template <class Rep, class Period>
  R get(std::chrono::duration<Rep, Period> patience) const {  // throws TimeoutError
    return get_until(Deadline::after(patience));
  }
  void wait() const { static_cast<void>(ask(Op::wait).send()); }
  template <class Rep, class Period>
  bool wait(std::chrono::duration<Rep, Period> patience) const {  // false: not ready within `patience`
    return !ask(Op::wait, Deadline::after(patience)).send().timed_out();
  }
  [[nodiscard]] bool ready() const { return ask(Op::ready).send().number() != 0; }
  // Throws std::invalid_argument while it is not ready.
  [[nodiscard]] bool successful() const { return ask(Op::successful).send().number() != 0; }

 private:
  R get_until(Deadline deadline) const {
    managers::Answer answer = ask(Op::get, deadline).send();
    if (answer.timed_out()) throw TimeoutError("the result was not ready in time");
    if constexpr (!std::is_void_v<R>) return answer.template next<R>();
  }
};

class PoolProxy : public managers::ProxyBase {
  using Op = managers::Op;

 public:
  explicit PoolProxy(codec::Undecoded) noexcept {}
  explicit PoolProxy(managers::Object object) noexcept : ProxyBase(std::move(object)) {}

  template <class F, class... Args>
  auto apply_async(F&& f, Args&&... args) const {
    using D = std::decay_t<F>;
    using Call = codec::Call<D, std::decay_t<Args>...>;
    if constexpr (Call::check()) {  // else the compiler has said what is wrong with it
      using Arguments = typename Call::arguments;
      managers::require_family(object_);
      managers::Ask asked = ask(Op::call);
      managers::write_code(asked, object_, reinterpret_cast<const void*>(&managers::submit_call<D, Arguments>), nullptr,
                           typeid(D), 0);
      const D function = std::forward<F>(f);
      asked.value_by([&](codec::Encoder& out) {
        codec::encode_callable(out, function);
        codec::encode(out, Arguments(std::forward<Args>(args)...));
      });
      managers::Answer answer = asked.send();
      return ResultProxy<typename Call::result>(answer.next_object());
    }
  }
  template <class F, class... Args>
  auto apply(F&& f, Args&&... args) const {
    return apply_async(std::forward<F>(f), std::forward<Args>(args)...).get();
  }
  template <class F, std::ranges::input_range Range>
  auto map_async(F&& f, Range&& items) const {
    using D = std::decay_t<F>;
    using Item = codec::travel_t<std::ranges::range_value_t<Range>>;
    using Call = codec::Call<D, Item>;
    if constexpr (Call::check()) {  // else the compiler has said what is wrong with it
      using Result = typename Call::result;
      using Results =
          std::conditional_t<std::is_void_v<Result>, std::type_identity<void>,
                             std::type_identity<std::vector<std::conditional_t<std::is_void_v<Result>, int, Result>>>>;
      managers::require_family(object_);
      managers::Ask asked = ask(Op::call);
      managers::write_code(asked, object_, reinterpret_cast<const void*>(&managers::submit_map<D, Item>), nullptr,
                           typeid(D), 0);
      const D function = std::forward<F>(f);
      asked.value_by([&](codec::Encoder& out) {
        codec::encode_callable(out, function);
        std::vector<Item> all;
        for (auto&& item : items) all.emplace_back(std::forward<decltype(item)>(item));
        codec::encode(out, all);
      });
      managers::Answer answer = asked.send();
      return ResultProxy<typename Results::type>(answer.next_object());
    }
  }
  template <class F, std::ranges::input_range Range>
  auto map(F&& f, Range&& items) const {
    return map_async(std::forward<F>(f), std::forward<Range>(items)).get();
  }
  void close() const { static_cast<void>(ask(Op::pool_close).send()); }
  void terminate() const { static_cast<void>(ask(Op::pool_terminate).send()); }
  void join() const { static_cast<void>(ask(Op::pool_join).send()); }
};

}  // namespace multiprocessing

#pragma GCC visibility pop
