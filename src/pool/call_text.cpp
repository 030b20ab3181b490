#include "multiprocessing/detail/call_text.hpp"

#include <charconv>
#include <cstddef>
#include <system_error>

#include "crash/symbols.hpp"

namespace multiprocessing::pool {
namespace {

constexpr std::size_t longest_text = 60;

// "ns::f(int (*)(int))" → "ns::f": without the parentheses that are the last.
std::string without_parameters(std::string name) {
  std::size_t at = name.rfind(')');
  if (at == std::string::npos) return name;
  for (int depth = 0;; --at) {
    depth += name[at] == ')' ? 1 : name[at] == '(' ? -1 : 0;
    if (depth == 0) break;
    if (at == 0) return name;
  }
  return at == 0 ? name : name.substr(0, at);
}

// Where a character of UTF-8 may end, at `size` or a little before.
std::size_t end_of_character(std::string_view text, std::size_t size) {
  for (int i = 0; i < 4 && size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0U) == 0x80; ++i) --size;
  return size;
}

}  // namespace

std::string number_text(long long number) { return std::to_string(number); }
std::string number_text(unsigned long long number) { return std::to_string(number); }
std::string number_text(double number) {
  char text[40];
  const auto [end, error] = std::to_chars(text, text + sizeof text, number);
  return error == std::errc() ? std::string(text, end) : "?";
}

std::string quoted_text(std::string_view text) {
  const bool cut = text.size() > longest_text;
  std::string result = "\"";
  for (const char c : text.substr(0, cut ? end_of_character(text, longest_text) : text.size())) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (c == '\n') {
      result += "\\n";
    } else if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else {
      result += control ? '?' : c;
    }
  }
  return result + (cut ? "…\"" : "\"");
}

std::string function_text(const void* function, const std::type_info& type) {
  std::string name = without_parameters(crash::function_name(function));
  return name.empty() ? "[" + type_text(type.name()) + "]" : name;
}

}  // namespace multiprocessing::pool
