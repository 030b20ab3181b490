// What a child runs: a callable with its arguments behind one virtual function.
//
// The start methods to come need more of it (to be written down and made again in another program): that will
// be another virtual function here, and nothing else of Process changes.
#pragma once

#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace multiprocessing::detail {

class Target {
 public:
  Target() = default;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  virtual ~Target() = default;
  virtual void run() = 0;  // once: the arguments are moved into the call
};

// How an argument is kept until the call: decayed, except that a string literal (any array of char) becomes a
// std::string, so that nothing points into a buffer that may be gone by then.
template <class T>
struct Kept {
  using type = std::decay_t<T>;
};
template <class T>
  requires(std::is_array_v<std::remove_reference_t<T>> &&
           std::is_same_v<std::remove_cv_t<std::remove_extent_t<std::remove_reference_t<T>>>, char>)
struct Kept<T> {
  using type = std::string;
};
template <class T>
using kept_t = typename Kept<T>::type;

template <class F, class... Args>
class Call final : public Target {
 public:
  template <class G, class... Given>
  explicit Call(std::in_place_t, G&& function, Given&&... args)
      : function_(std::forward<G>(function)), args_(std::forward<Given>(args)...) {}

  void run() override {
    std::apply(
        [this](Args&... args) { static_cast<void>(std::invoke(std::move(function_), std::move(args)...)); },
        args_);
  }

 private:
  F function_;
  std::tuple<Args...> args_;
};

}  // namespace multiprocessing::detail
