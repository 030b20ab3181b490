#include "text.hpp"

#include <cctype>
#include <cstdio>
#include <cwchar>
#include <cwctype>
#include <system_error>

namespace mpcopy {
namespace {

// Length of the printable character that `text` begins with; 0: it begins with something else.
std::size_t printable_length(std::string_view text) {
  std::mbstate_t state{};
  wchar_t character = 0;
  const std::size_t length = std::mbrtowc(&character, text.data(), text.size(), &state);
  const bool is_valid = length != 0 && length <= text.size();  // (size_t)-1 and -2 are errors
  return is_valid && std::iswprint(static_cast<wint_t>(character)) != 0 ? length : 0;
}

std::string escaped(char c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\t':
      return "\\t";
    case '\r':
      return "\\r";
    default: {
      char octal[8];
      std::snprintf(octal, sizeof octal, "\\%03o", static_cast<unsigned>(static_cast<unsigned char>(c)));
      return octal;
    }
  }
}

}  // namespace

std::string joined(std::string_view folder, std::string_view name) {
  std::string path(folder);
  if (!path.empty() && path.back() != '/') path.push_back('/');
  return path.append(name);
}

std::string shown(std::string_view path) {
  std::string text;
  bool is_plain = true;
  while (!path.empty()) {
    std::size_t length = printable_length(path);
    if (length == 0) {
      is_plain = false;
      length = 1;
      text.append(escaped(path[0]));
    } else {
      if (path[0] == '\'' || path[0] == '\\') {
        is_plain = false;
        text.push_back('\\');
      }
      text.append(path.substr(0, length));
    }
    path.remove_prefix(length);
  }
  return (is_plain ? "'" : "$'") + text + "'";
}

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

CopyError::CopyError(std::string_view action, std::string_view path, int error)
    : std::runtime_error(std::string(action) + " " + shown(path) + ": " + std::generic_category().message(error)) {}

}  // namespace mpcopy
