#include "progress/text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace multiprocessing::progress_ {
namespace {

// printf's %.*f with the locale's decimal point replaced: a progress line is the same in every locale.
std::string fixed(double value, int decimals) {
  std::array<char, 64> buffer;
  const int length = std::snprintf(buffer.data(), buffer.size(), "%.*f", decimals, value);
  std::string text(buffer.data(), static_cast<std::size_t>(std::clamp(length, 0, static_cast<int>(buffer.size()) - 1)));
  std::replace(text.begin(), text.end(), ',', '.');
  return text;
}

std::string group_thousands(std::string text) {
  const std::size_t end = std::min(text.find('.'), text.size());
  for (std::size_t at = end; at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

struct Character {
  std::size_t bytes;  // that it takes in the text; at least 1
  int columns;
};

struct CodeRange {
  char32_t first, last;
};
// Close enough to Unicode's East Asian Width for a label: the scripts that terminals draw two columns wide.
constexpr CodeRange kWide[] = {{0x1100, 0x115F},   {0x2E80, 0xA4CF},   {0xAC00, 0xD7A3},  {0xF900, 0xFAFF},
                               {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},  {0x1F300, 0x1F64F},
                               {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
constexpr CodeRange kNoWidth[] = {{0x0300, 0x036F}, {0x200B, 0x200F}, {0xFE00, 0xFE0F}};

template <std::size_t N>
bool within(const CodeRange (&ranges)[N], char32_t code) {
  return std::any_of(ranges, ranges + N, [code](CodeRange r) { return r.first <= code && code <= r.last; });
}

// The first character of a text that is not empty.  A byte that is not valid UTF-8 is a character by itself.
Character first_character(std::string_view text, Charset charset) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (charset == Charset::ascii || lead < 0x80) return {1, 1};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  if (length == 1 || length > text.size()) return {1, 1};
  auto code = static_cast<char32_t>(lead & (0xFFU >> (length + 1)));
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80U) return {1, 1};
    code = code << 6U | (next & 0x3FU);
  }
  return {length, within(kNoWidth, code) ? 0 : within(kWide, code) ? 2 : 1};
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

}  // namespace

std::string with_commas(std::uint64_t n) { return group_thousands(std::to_string(n)); }

std::string counts_per_second(double rate) {
  const int decimals = rate < 9.995 ? 2 : rate < 99'999.95 ? 1 : 0;
  return group_thousands(fixed(rate, decimals)) + "/s";
}

std::string bytes_per_second(double rate) {
  const ByteUnit unit = byte_unit(rate);
  return in_unit(rate, unit).append(" ").append(unit.name).append("/s");
}

std::string clock_time(std::chrono::nanoseconds time) {
  using namespace std::chrono;
  const long long all = duration_cast<seconds>(time).count();
  const long long hours = all / 3600;
  std::array<char, 64> buffer;
  if (hours >= 100) {
    std::snprintf(buffer.data(), buffer.size(), "%lldd %02lldh", hours / 24, hours % 24);
  } else if (hours > 0) {
    std::snprintf(buffer.data(), buffer.size(), "%lld:%02lld:%02lld", hours, all / 60 % 60, all % 60);
  } else {
    std::snprintf(buffer.data(), buffer.size(), "%02lld:%02lld", all / 60, all % 60);
  }
  return buffer.data();
}

ByteUnit byte_unit(double scale) {
  constexpr std::string_view kNames[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double divisor = 1;
  std::size_t step = 0;
  // 999.95 and not 1024: a number never takes more than three digits before the point.
  while (scale / divisor >= 999.95 && step + 1 < std::size(kNames)) {
    divisor *= 1024;
    ++step;
  }
  return {divisor, kNames[step]};
}

std::string in_unit(double bytes, ByteUnit unit) { return fixed(bytes / unit.divisor, unit.divisor > 1 ? 1 : 0); }

int columns_of(std::string_view text, Charset charset) {
  int columns = 0;
  while (!text.empty()) {
    const Character next = first_character(text, charset);
    columns += next.columns;
    text.remove_prefix(next.bytes);
  }
  return columns;
}

std::string fitted(std::string_view text, int columns, Charset charset) {
  const bool cut = columns_of(text, charset) > columns;
  if (cut && columns <= 0) return {};
  int room = columns - (cut ? 1 : 0);
  std::string kept;
  while (!text.empty()) {
    const Character next = first_character(text, charset);
    room -= next.columns;
    if (room < 0) break;
    if (is_control(text[0])) {
      kept.push_back('?');
    } else {
      kept.append(text.substr(0, next.bytes));
    }
    text.remove_prefix(next.bytes);
  }
  if (cut) kept.append(charset == Charset::utf8 ? "…" : "~");
  return kept;
}

}  // namespace multiprocessing::progress_
