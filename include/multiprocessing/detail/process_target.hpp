// What a child runs: a callable with its arguments, behind a virtual function.  A copy of this process runs it; for
// another program it is written down, and made again there by the function that write() gives.
//
// Whether it can be written is known at compile time and told at run time: a closure is a good target under fork.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/callable.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::detail {

class Runnable {
 public:
  Runnable() = default;
  Runnable(const Runnable&) = delete;
  Runnable& operator=(const Runnable&) = delete;
  virtual ~Runnable() = default;
  virtual void run() = 0;  // once: the arguments are moved into the call
};

// Makes again what write() has written.
using TargetReader = std::unique_ptr<Runnable> (*)(codec::Decoder& in);

// NotSendable, with what to do (start_method.cpp).
[[noreturn]] void throw_unsendable_target(const std::type_info& type);
[[noreturn]] void throw_unsendable_argument(std::size_t place, const std::type_info& type, codec::Why why);
[[noreturn]] void throw_unfit_arguments();
[[noreturn]] void throw_unsendable_process(const std::type_info& type, codec::Why why);

struct Unsendable {
  std::size_t place = 0;  // of the first of them, from 1; 0: there is none
  codec::Why why = codec::Why::sendable;
};
template <class... A>
consteval Unsendable first_unsendable(std::tuple<A...>* /*only its type*/) {
  Unsendable found;
  std::size_t place = 0;
  ((++place, found.place == 0 && codec::why<A>() != codec::Why::sendable
                 ? void(found = Unsendable{place, codec::why<A>()})
                 : void()),
   ...);
  return found;
}

// A call that has arrived.
template <class F, class Arguments>
class ReceivedCall final : public Runnable {
 public:
  explicit ReceivedCall(codec::Decoder& in)
      : call_(codec::decode_with(in, [](codec::Reader& reader) {
          return Parts{codec::read_callable<F>(reader), codec::read<Arguments>(reader)};
        })) {}
  static std::unique_ptr<Runnable> read(codec::Decoder& in) { return std::make_unique<ReceivedCall>(in); }

  void run() override { static_cast<void>(codec::call(call_.first, call_.second)); }

 private:
  using Parts = std::pair<F, Arguments>;
  Parts call_;
};

template <class F, class... Args>
TargetReader write_call(codec::Encoder& out, const F& function, const std::tuple<Args...>& args) {
  using Arguments = codec::arguments_t<F, Args...>;
  constexpr Unsendable unsendable = first_unsendable(static_cast<Arguments*>(nullptr));
  if constexpr (!codec::task_callable<F>) {
    throw_unsendable_target(typeid(F));
  } else if constexpr (unsendable.place != 0) {
    throw_unsendable_argument(unsendable.place, typeid(std::tuple_element_t<unsendable.place - 1, Arguments>),
                              unsendable.why);
  } else if constexpr (!codec::are_convertible<Arguments, codec::Types<const Args&...>> ||
                       !codec::is_callable_with<F, Arguments>) {
    throw_unfit_arguments();
  } else {
    std::apply([&](const Args&... each) { codec::Call<F, Args...>::encode_task(out, function, each...); }, args);
    return &ReceivedCall<F, Arguments>::read;
  }
}

class Target : public Runnable {
 public:
  virtual TargetReader write(codec::Encoder& out) const = 0;  // throws NotSendable
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
  TargetReader write(codec::Encoder& out) const override { return write_call(out, function_, args_); }

 private:
  F function_;
  std::tuple<Args...> args_;
};

}  // namespace multiprocessing::detail

#pragma GCC visibility pop
