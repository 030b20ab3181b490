// What multiprocessing/log.hpp promises, for those who have something to say:
//
//   base::log(LogLevel::info, "worker ", pid, " takes the place of one that has ended");
//   if (base::logs(LogLevel::debug)) base::log(LogLevel::debug, expensive());    // where making the text costs
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <type_traits>

#include "multiprocessing/log.hpp"

namespace multiprocessing::base {

inline constexpr int log_nothing = 1000;
extern constinit std::atomic<int> lowest_log_level;

[[nodiscard]] inline bool logs(LogLevel level) noexcept {
  return static_cast<int>(level) >= lowest_log_level.load(std::memory_order_relaxed);
}

// Of this process, from now on.  Never freed: any thread may be reading it.
void set_log_name(const char* name) noexcept;

void write_log_line(LogLevel level, std::string_view text) noexcept;

namespace log_ {
inline void append(std::string& line, std::string_view text) { line += text; }
template <class Number>
requires std::is_arithmetic_v<Number>
void append(std::string& line, Number number) { line += std::to_string(number); }
}  // namespace log_

template <class... Parts>
void log(LogLevel level, const Parts&... parts) noexcept {
  if (!logs(level)) return;
  try {
    std::string text;
    (log_::append(text, parts), ...);
    write_log_line(level, text);
  } catch (...) {  // no memory: a line less
  }
}

}  // namespace multiprocessing::base
