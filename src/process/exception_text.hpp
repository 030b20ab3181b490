// A type as the program has written it; an exception as text: type, what(), and what was nested in it.  (Its stack:
// print_stack.hpp.)
#pragma once

#include <string>
#include <typeinfo>

namespace multiprocessing::process_ {

[[nodiscard]] std::string readable_name(const std::type_info& type);

// Of the exception being handled: "std::runtime_error: text", a line "  caused by …" for each nested one.
[[nodiscard]] std::string describe_current_exception();

}  // namespace multiprocessing::process_
