#include "process/exception_text.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <typeinfo>

namespace multiprocessing::process_ {
namespace {

constexpr int max_depth = 16;  // of nested exceptions: enough to read, and a chain cannot be endless

std::string type_of_current() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  return type == nullptr ? "unknown (not a C++ exception)" : readable_name(*type);
}

std::string describe_current(int depth);

std::string describe_nested(const std::exception& outer, int depth) {
  const auto* nested = dynamic_cast<const std::nested_exception*>(&outer);
  if (nested == nullptr || nested->nested_ptr() == nullptr || depth == max_depth) return {};
  try {
    nested->rethrow_nested();
  } catch (...) {
    return "\n  caused by " + describe_current(depth + 1);
  }
}

// std::throw_with_nested throws a type of its own that derives from the user's; its name says nothing.
std::string readable_type(const std::exception& error) {
  const std::string name = readable_name(typeid(error));
  const std::string wrapper = "std::_Nested_exception<";
  if (name.compare(0, wrapper.size(), wrapper) != 0 || name.back() != '>') return name;
  return name.substr(wrapper.size(), name.size() - wrapper.size() - 1);
}

std::string describe_current(int depth) {
  try {
    throw;
  } catch (const std::exception& error) {
    const char* const text = error.what();
    return readable_type(error) + ": " + (text == nullptr ? "" : text) + describe_nested(error, depth);
  } catch (const std::string& text) {
    return "std::string: " + text;
  } catch (const char* text) {
    return std::string("const char*: ") + (text == nullptr ? "" : text);
  } catch (...) {
    return type_of_current();
  }
}

}  // namespace

std::string readable_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                         &std::free);
  return status == 0 ? name.get() : type.name();
}

std::string describe_current_exception() { return describe_current(0); }

}  // namespace multiprocessing::process_
