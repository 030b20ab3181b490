// Paths as text: joining them, showing them, and the error that carries one.
#pragma once

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mpcopy {

// "a/b"; "/b" for the folder "/".
std::string joined(std::string_view folder, std::string_view name);

// 'name', or $'na\nme' where there are characters that would spoil a message: what can be pasted into a shell.
// Which characters are printable is said by the locale (setlocale).
std::string shown(std::string_view path);

// 12,604
std::string grouped(std::uint64_t number);

// What went wrong with one path; the rest is copied all the same.
class CopyError : public std::runtime_error {
 public:
  // "cannot open 'a/b': Permission denied"
  CopyError(std::string_view action, std::string_view path, int error = errno);
  explicit CopyError(const std::string& text) : std::runtime_error(text) {}
};

}  // namespace mpcopy
