// Context: the start method for what is made through it, whatever the rest of the program uses.
//
//   auto context = mp::get_context(mp::StartMethod::spawn);
//   mp::Process p = context.process(task, "child 1");
//   mp::Process q = context.process({.name = "TEST", .daemon = true}, task, "child 2");
//   mp::Pool pool = context.pool(4);                           // or the options of a Pool; needs pool.hpp
//
// start_method.hpp says what the methods are.  Threads: a Context is a value.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include "multiprocessing/process.hpp"
#include "multiprocessing/start_method.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

class Pool;
struct PoolOptions;

class Context {
 public:
  explicit Context(StartMethod method) noexcept : method_(method) {}

  [[nodiscard]] StartMethod start_method() const noexcept { return method_; }

  // As the constructors of Process.
  template <class F, class... Args>
    requires(!std::same_as<std::remove_cvref_t<F>, ProcessOptions>)
  [[nodiscard]] Process process(F&& function, Args&&... args) const {
    return process(ProcessOptions{}, std::forward<F>(function), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
    requires(!std::same_as<std::remove_cvref_t<F>, ProcessOptions>)
  [[nodiscard]] Process process(ProcessOptions options, F&& function, Args&&... args) const {
    Process made(std::move(options), std::forward<F>(function), std::forward<Args>(args)...);
    made.method_ = method_;
    return made;
  }

  // As the constructors of Pool.
  [[nodiscard]] Pool pool(int processes = 0) const;
  [[nodiscard]] Pool pool(PoolOptions options) const;

 private:
  StartMethod method_;
};

[[nodiscard]] inline Context get_context(StartMethod method) noexcept { return Context(method); }
[[nodiscard]] inline Context get_context() noexcept { return Context(get_start_method()); }

}  // namespace multiprocessing

#pragma GCC visibility pop
