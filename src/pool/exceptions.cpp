// How a task's exception travels: a Portrait of it, and one of each exception that was nested in the one before.
//
//   count u32 | count × ( known u8 | type name | text | code i32 | category | registered | value | traceback | trace |
//                        pid i32 )
//
// The receiver throws the same type, if it is in the table or registered, with a RemoteError nested in it; else the
// RemoteError.  In the RemoteError the cause is nested, made in the same way: so rethrow_if_nested() walks
//
//   own type ─► RemoteError of it ─► type of the cause ─► RemoteError of the cause ─► …
#include "pool/exceptions.hpp"

#include <cxxabi.h>
#include <unistd.h>

#include <any>
#include <array>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "crash/stack.hpp"
#include "crash/traced_call.hpp"
#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/register_exception.hpp"
#include "multiprocessing/pool.hpp"

namespace multiprocessing::pool {
namespace {

constexpr std::size_t most_causes = 16;  // enough to read, and no chain is endless

struct Portrait {
  std::uint8_t known = 0;  // 0: none; else index in the table + 1
  std::string type_name;
  std::string text;
  int code = 0;
  std::string category;    // of a std::system_error; of a WorkerDied: the worker's pid
  std::string registered;  // name of a type of register_exception(), as type_info has it; "": none
  std::string value;       // what that type's serializer has written; of a WorkerDied: the task
  std::string traceback;   // of a RemoteError
  crash::Trace trace;      // of the throw
  int pid = 0;
};

struct Known {
  bool (*is)(const std::exception&);
  void (*rethrow)(const Portrait&);  // throws it with the current exception nested
};

template <class E>
void rethrow_with_text(const Portrait& portrait) {
  std::throw_with_nested(E(portrait.text));
}

template <class E>
void rethrow_plain(const Portrait&) {
  std::throw_with_nested(E());
}

const std::error_category& category_of(const std::string& name) {
  if (name == std::system_category().name()) return std::system_category();
  if (name == std::iostream_category().name()) return std::iostream_category();
  if (name == std::future_category().name()) return std::future_category();
  return std::generic_category();
}

// system_error appends the category's message to the text it is given: take it off again.
std::string without_suffix(const std::string& text, const std::string& suffix) {
  if (text == suffix) return "";
  const std::string tail = ": " + suffix;
  return text.ends_with(tail) ? text.substr(0, text.size() - tail.size()) : text;
}

template <class E>
void rethrow_with_code(const Portrait& portrait) {
  const std::error_code code(portrait.code, category_of(portrait.category));
  const std::string text = without_suffix(portrait.text, code.message());
  if (text.empty()) std::throw_with_nested(E(code));
  std::throw_with_nested(E(code, text));
}

void rethrow_ios(const Portrait& portrait) {
  const std::error_code code(portrait.code, category_of(portrait.category));
  std::throw_with_nested(std::ios_base::failure(without_suffix(portrait.text, code.message()), code));
}

void rethrow_filesystem(const Portrait& portrait) {
  const std::error_code code(portrait.code, category_of(portrait.category));
  // what() is "filesystem error: TEXT: MESSAGE [paths]"; the constructor adds the first and the last again.
  constexpr std::string_view prefix = "filesystem error: ";
  std::string text = portrait.text.starts_with(prefix) ? portrait.text.substr(prefix.size()) : portrait.text;
  if (const std::size_t at = text.find(": " + code.message()); at != std::string::npos) {
    text.erase(at, 2 + code.message().size());
  }
  std::throw_with_nested(std::filesystem::filesystem_error(text, code));
}

// Of a pool in the process that the exception came from; its stack is in the RemoteError.
void rethrow_worker_died(const Portrait& portrait) {
  std::throw_with_nested(WorkerDied(std::atoi(portrait.category.c_str()), portrait.code, portrait.value));
}

// Exactly the type, not one derived from it: a stranger's runtime_error is a RemoteError.  throw_with_nested makes a
// derived class of its own, which counts as its base.
template <class E>
bool is_exactly(const std::exception& e) {
  return typeid(e) == typeid(E) || typeid(e) == nested_type<E>();
}

template <class E>
constexpr Known text_type() {
  return {is_exactly<E>, rethrow_with_text<E>};
}
template <class E>
constexpr Known plain_type() {
  return {is_exactly<E>, rethrow_plain<E>};
}

// Derived before base, for is_exactly of nested ones.  Order is part of the format between host and worker, which
// are one build.
const std::array known_types = {
    Known{is_exactly<std::filesystem::filesystem_error>, rethrow_filesystem},
    Known{is_exactly<std::ios_base::failure>, rethrow_ios},
    Known{is_exactly<std::system_error>, rethrow_with_code<std::system_error>},
    text_type<std::invalid_argument>(),
    text_type<std::domain_error>(),
    text_type<std::length_error>(),
    text_type<std::out_of_range>(),
    text_type<std::logic_error>(),
    text_type<std::range_error>(),
    text_type<std::overflow_error>(),
    text_type<std::underflow_error>(),
    text_type<Full>(),
    text_type<Empty>(),
    text_type<Closed>(),
    text_type<NotSendable>(),
    text_type<TypeMismatch>(),
    text_type<DaemonicChildError>(),
    text_type<TimeoutError>(),
    text_type<Cancelled>(),
    text_type<TaskTimeout>(),
    Known{is_exactly<WorkerDied>, rethrow_worker_died},
    text_type<MemoryLimitExceeded>(),
    text_type<Error>(),
    text_type<std::runtime_error>(),
    plain_type<std::bad_array_new_length>(),
    plain_type<std::bad_alloc>(),
    plain_type<std::bad_any_cast>(),
    plain_type<std::bad_cast>(),
    plain_type<std::bad_typeid>(),
    plain_type<std::bad_function_call>(),
    plain_type<std::bad_optional_access>(),
    plain_type<std::bad_variant_access>(),
    plain_type<std::bad_weak_ptr>(),
    plain_type<std::bad_exception>(),
    Known{[](const std::exception& e) { return typeid(e) == typeid(std::exception); }, rethrow_plain<std::exception>},
};

// std::throw_with_nested throws a type of its own that derives from the user's; its name says nothing.
std::string type_name_of(const std::type_info& type) {
  std::string name = type_text(type.name());
  constexpr std::string_view wrapper = "std::_Nested_exception<";
  if (!name.starts_with(wrapper) || !name.ends_with('>')) return name;
  name = name.substr(wrapper.size(), name.size() - wrapper.size() - 1);
  return name.substr(0, name.find_last_not_of(' ') + 1);
}

void describe(const std::exception& e, Portrait& portrait) {
  portrait.type_name = type_name_of(typeid(e));
  const char* const text = e.what();
  portrait.text = text != nullptr ? text : "";
  if (const auto* system = dynamic_cast<const std::system_error*>(&e)) {
    portrait.code = system->code().value();
    portrait.category = system->code().category().name();
  }
  if (const auto* died = dynamic_cast<const WorkerDied*>(&e)) {
    portrait.code = died->signal() ? -*died->signal() : died->exit_code().value_or(0);
    portrait.category = std::to_string(died->pid());
    portrait.value = died->task();
    portrait.traceback = died->stack();
  }
  for (std::size_t i = 0; i < known_types.size(); ++i) {
    if (!known_types[i].is(e)) continue;
    portrait.known = static_cast<std::uint8_t>(i + 1);
    return;
  }
}

// Of the exception being handled, if its type is registered.
void describe_registered(Portrait& portrait) {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  const ExceptionType* const known = type != nullptr ? registered_exception(*type) : nullptr;
  if (known == nullptr) return;
  try {
    codec::Encoder value;
    known->write(value);
    if (!value.carried().empty()) return;  // handles: nobody would hold on to what they name
    portrait.value.assign(reinterpret_cast<const char*>(value.bytes().data()), value.size());
    portrait.registered = known->type.name();
  } catch (...) {  // its serializer failed: its text is left
  }
}

std::exception_ptr cause_of(const std::exception& e) {
  const auto* const nested = dynamic_cast<const std::nested_exception*>(&e);
  return nested != nullptr ? nested->nested_ptr() : nullptr;
}

// The exception being handled and its causes.
void add_current(std::vector<Portrait>& chain) {
  Portrait& portrait = chain.emplace_back();
  std::exception_ptr cause;
  portrait.pid = ::getpid();
  try {
    throw;
  } catch (const RemoteError& e) {  // of a pool inside the task: what it says is what happened
    portrait.type_name = e.type_name();
    portrait.text = e.what();
    portrait.traceback = e.traceback();
    cause = cause_of(e);
  } catch (const std::exception& e) {
    const std::uint64_t limit = memory_limit_of_this_process.load();
    if (limit != 0 && dynamic_cast<const std::bad_alloc*>(&e) != nullptr) {
      describe(MemoryLimitExceeded("the task wanted more memory than the " + std::to_string(limit >> 20) +
                                   " MiB that PoolOptions::memory_limit allows its worker"),
               portrait);
    } else {
      describe(e, portrait);
      describe_registered(portrait);
    }
    cause = cause_of(e);
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    portrait.type_name = type != nullptr ? type_name_of(*type) : "unknown";
    portrait.text = "an exception of type " + portrait.type_name + ", which is no std::exception";
    describe_registered(portrait);
    try {
      throw;
    } catch (const std::nested_exception& e) {
      cause = e.nested_ptr();
    } catch (...) {
    }
  }
  if (cause == nullptr || chain.size() > most_causes) return;
  try {
    std::rethrow_exception(cause);
  } catch (...) {
    add_current(chain);
  }
}

[[noreturn]] void throw_remote(Portrait& portrait, const std::exception_ptr& cause) {
  std::shared_ptr<const crash::Stack> stack;
  if (!portrait.trace.frames.empty()) {
    stack = std::make_shared<crash::Stack>(std::move(portrait.trace), std::string(), std::string());
  }
  const RemoteError remote = stack != nullptr
                                 ? RemoteError(portrait.type_name, portrait.text, std::move(stack), portrait.pid)
                                 : RemoteError(portrait.type_name, portrait.text, portrait.traceback, portrait.pid);
  if (cause == nullptr) throw remote;
  try {
    std::rethrow_exception(cause);
  } catch (...) {
    std::throw_with_nested(remote);
  }
}

// With the current exception, its RemoteError, nested in it; returns if its type is not known here.
void throw_as_itself(const Portrait& portrait) {
  if (!portrait.registered.empty()) {
    if (const ExceptionType* const type = registered_exception(portrait.registered)) {
      codec::Decoder value(std::as_bytes(std::span(portrait.value)));
      type->rethrow(value, portrait.text);
    }
  }
  if (portrait.known != 0 && portrait.known <= known_types.size()) known_types[portrait.known - 1].rethrow(portrait);
}

std::exception_ptr exception_of(Portrait& portrait, const std::exception_ptr& cause) {
  try {
    try {
      throw_remote(portrait, cause);
    } catch (const RemoteError&) {
      throw_as_itself(portrait);
      throw;
    }
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

std::string type_text(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : mangled;
}

constinit std::atomic<std::uint64_t> memory_limit_of_this_process{0};
thread_local unsigned exceptions_encoded = 0;

void encode_current_exception(codec::Encoder& out) {
  ++exceptions_encoded;
  crash::Trace trace = crash::take_thrown();
  std::vector<Portrait> chain;
  add_current(chain);
  if (chain.front().traceback.empty()) chain.front().trace = std::move(trace);
  codec::encode(out, chain);
}

std::exception_ptr decode_exception(codec::Decoder& in) {
  auto chain = codec::decode<std::vector<Portrait>>(in);
  if (chain.empty()) codec::throw_malformed("an exception that is none");
  std::exception_ptr exception;
  for (auto portrait = chain.rbegin(); portrait != chain.rend(); ++portrait) {
    exception = exception_of(*portrait, exception);
  }
  return exception;
}

}  // namespace multiprocessing::pool
