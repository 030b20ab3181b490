#include "multiprocessing/start_method.hpp"

#include <atomic>
#include <stdexcept>
#include <string>

#include "multiprocessing/detail/process_target.hpp"
#include "multiprocessing/errors.hpp"
#include "process/default_method.hpp"
#include "process/exception_text.hpp"

namespace multiprocessing {
namespace {

constexpr int not_set = -1;
constinit std::atomic<int> method_set{not_set};

const char* describe(codec::Why why) {
  switch (why) {
    case codec::Why::pointer:
      return "it holds a raw pointer; send the data itself (std::string, std::vector, std::unique_ptr, ...)";
    case codec::Why::view:
      return "it holds a view (std::string_view, std::span); send the data itself (std::string, std::vector, ...)";
    case codec::Why::reference:
    case codec::Why::uncountable_members:
      return "it is or holds a reference; send the data itself";
    case codec::Why::base_class:
    case codec::Why::too_many_members:
    case codec::Why::no_functions:
      return "it is no plain aggregate and has no serialize member function (locks, threads, streams and std::function "
             "belong to one process)";
    case codec::Why::union_type:
      return "it holds a union; use std::variant";
    case codec::Why::polymorphic_pointer:
      return "a smart pointer to a class with virtual functions needs <cereal/types/polymorphic.hpp> and "
             "CEREAL_REGISTER_TYPE";
    case codec::Why::not_constructible:
      return "a type with a serialize function must be default constructible and movable, to be made where it arrives";
    case codec::Why::sendable:
      break;
  }
  return "it cannot be sent";
}

}  // namespace

void set_start_method(StartMethod method, SetStartMethodOptions options) {
  int expected = not_set;
  if (options.force) {
    method_set.store(static_cast<int>(method));
  } else if (!method_set.compare_exchange_strong(expected, static_cast<int>(method))) {
    throw std::logic_error(std::string("mp::set_start_method: it was set to ") +
                           name_of(static_cast<StartMethod>(expected)) + " before; {.force = true} sets it again");
  }
}

StartMethod get_start_method() noexcept {
  const int method = method_set.load();
  return method == not_set ? StartMethod::fork : static_cast<StartMethod>(method);
}

std::vector<StartMethod> get_all_start_methods() {
  return {StartMethod::fork, StartMethod::spawn, StartMethod::forkserver};
}

const char* name_of(StartMethod method) noexcept {
  switch (method) {
    case StartMethod::fork:
      return "fork";
    case StartMethod::spawn:
      return "spawn";
    case StartMethod::forkserver:
      return "forkserver";
  }
  return "?";
}

namespace process_ {

std::optional<StartMethod> default_method() noexcept {
  const int method = method_set.load();
  return method == not_set ? std::nullopt : std::optional(static_cast<StartMethod>(method));
}

void inherit_default_method(std::optional<StartMethod> method) noexcept {
  method_set.store(method ? static_cast<int>(*method) : not_set);
}

}  // namespace process_

namespace detail {

using process_::readable_name;

void throw_unsendable_target(const std::type_info& type) {
  throw NotSendable(
      "mp::Process: the target " + readable_name(type) +
      " cannot be sent to a process that is no fork: it is a closure with captures, a pointer to a member or "
      "an object without serialize; pass a function or a lambda without captures, and what it uses as "
      "arguments, or start it with mp::StartMethod::fork");
}

void throw_unsendable_argument(std::size_t place, const std::type_info& type, codec::Why why) {
  throw NotSendable("mp::Process: argument " + std::to_string(place) + " of the target, " + readable_name(type) +
                    ", cannot be sent to a process that is no fork: " + describe(why) +
                    "; or start it with mp::StartMethod::fork");
}

void throw_unfit_arguments() {
  throw NotSendable(
      "mp::Process: the target takes its arguments in a way that only a fork can give them; pass exactly one argument "
      "for each parameter, and of its type");
}

void throw_unsendable_process(const std::type_info& type, codec::Why why) {
  throw NotSendable(
      "mp::Process: " + readable_name(type) +
      " cannot be sent to a process that is no fork: a subclass derives from mp::ProcessOf<itself> and has a "
      "serialize member function (" +
      describe(why) + "); or start it with mp::StartMethod::fork");
}

}  // namespace detail

}  // namespace multiprocessing
