// How a task's exception travels: its text, the name of its type, and which standard type it is.
//
//   known u8 | type name | text | traceback | pid i32 | code i32 | category
//
// The receiver throws the standard type with a RemoteError nested in it; what is not in the table arrives as the
// RemoteError alone.
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
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <typeinfo>
#include <variant>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/pool.hpp"

namespace multiprocessing::pool {
namespace {

struct Portrait {
  std::uint8_t known = 0;  // 0: none; else index in the table + 1
  std::string type_name;
  std::string text;
  std::string traceback;
  int pid = 0;
  int code = 0;
  std::string category;  // of a std::system_error
};

struct Known {
  bool (*is)(const std::exception&);
  void (*rethrow)(const Portrait&);  // throws it with the current exception nested
};

template <class E>
bool is_a(const std::exception& e) {
  return dynamic_cast<const E*>(&e) != nullptr;
}

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

// Exactly the type, not one derived from it: a stranger's runtime_error is a RemoteError.  throw_with_nested makes a
// derived class of its own, which counts as its base.
template <class E>
bool is_exactly(const std::exception& e) {
  return typeid(e) == typeid(E) || (dynamic_cast<const std::nested_exception*>(&e) != nullptr && is_a<E>(e));
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

void describe(const std::exception& e, Portrait& portrait) {
  portrait.type_name = type_text(typeid(e).name());
  const char* const text = e.what();
  portrait.text = text != nullptr ? text : "";
  if (const auto* system = dynamic_cast<const std::system_error*>(&e)) {
    portrait.code = system->code().value();
    portrait.category = system->code().category().name();
  }
  for (std::size_t i = 0; i < known_types.size(); ++i) {
    if (!known_types[i].is(e)) continue;
    portrait.known = static_cast<std::uint8_t>(i + 1);
    return;
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
  Portrait portrait;
  portrait.pid = ::getpid();
  try {
    throw;
  } catch (const std::bad_alloc& e) {
    const std::uint64_t limit = memory_limit_of_this_process.load();
    if (limit == 0) {
      describe(e, portrait);
    } else {
      describe(MemoryLimitExceeded("the task wanted more memory than the " + std::to_string(limit >> 20) +
                                   " MiB that PoolOptions::memory_limit allows its worker"),
               portrait);
    }
  } catch (const RemoteError& e) {  // of a pool inside the task: what it says is what happened
    portrait.type_name = e.type_name();
    portrait.text = e.what();
    portrait.traceback = e.traceback();
  } catch (const std::exception& e) {
    describe(e, portrait);
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    portrait.type_name = type != nullptr ? type_text(type->name()) : "unknown";
    portrait.text = "an exception of type " + portrait.type_name + ", which is no std::exception";
  }
  codec::encode(out, portrait);
}

std::exception_ptr decode_exception(codec::Decoder& in) {
  const auto portrait = codec::decode<Portrait>(in);
  try {
    try {
      throw RemoteError(portrait.type_name, portrait.text, portrait.traceback, portrait.pid);
    } catch (const RemoteError&) {
      if (portrait.known == 0 || portrait.known > known_types.size()) throw;
      known_types[portrait.known - 1].rethrow(portrait);
      throw;  // not reached
    }
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace multiprocessing::pool
