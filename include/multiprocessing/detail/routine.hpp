// Routine: something to be run in a worker that takes nothing and gives nothing back (PoolOptions::initializer).
//
// Any callable, for a copy of this process runs it as it is.  A program that is executed anew can run only what can be
// sent; for anything else write() throws NotSendable, which says what to do.
#pragma once

#include <concepts>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/process_target.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::detail {

class Routine {
 public:
  Routine() noexcept = default;
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, Routine> && std::invocable<std::decay_t<F>&>) Routine(F&& f)
      : body_(std::make_shared<Body<std::decay_t<F>>>(std::forward<F>(f))) {}  // NOLINT: as std::function
  explicit Routine(std::shared_ptr<Runnable> received) noexcept
      : body_(std::make_shared<ReceivedBody>(std::move(received))) {}

  [[nodiscard]] explicit operator bool() const noexcept { return body_ != nullptr; }
  void operator()() const { body_->run(); }
  // Returns what makes it again.
  [[nodiscard]] TargetReader write(codec::Encoder& out) const { return body_->write(out); }

 private:
  struct Base {
    Base() = default;
    Base(const Base&) = delete;
    Base& operator=(const Base&) = delete;
    virtual ~Base() = default;
    virtual void run() = 0;
    virtual TargetReader write(codec::Encoder& out) const = 0;
  };
  template <class F>
  struct Body final : Base {
    template <class G>
    explicit Body(G&& f) : function(std::forward<G>(f)) {}
    void run() override { static_cast<void>(function()); }
    TargetReader write(codec::Encoder& out) const override { return write_call<F>(out, function, std::tuple<>()); }
    F function;
  };
  struct ReceivedBody final : Base {
    explicit ReceivedBody(std::shared_ptr<Runnable> what) noexcept : received(std::move(what)) {}
    void run() override { received->run(); }
    TargetReader write(codec::Encoder&) const override { return nullptr; }  // it has come, and goes no further
    std::shared_ptr<Runnable> received;
  };
  std::shared_ptr<Base> body_;
};

}  // namespace multiprocessing::detail

#pragma GCC visibility pop
