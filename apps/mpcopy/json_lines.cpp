#include "json_lines.hpp"

#include <cinttypes>
#include <cstdio>

namespace mpcopy {
namespace {

// Length of the UTF-8 character that `text` begins with; 0: it begins with none.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned first = byte(0);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xc2 ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  }
  // Longer than need be; a surrogate; beyond U+10FFFF.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f)) return 0;
  if ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) return 0;
  return length;
}

void print(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);  // a program waits for it
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string json = "\"";
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    const char c = text[0];
    if (length == 0) {
      json += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      json.append("\\").push_back(c);
    } else if (length == 1 && static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      json += escape;
    } else {
      json += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return json + "\"";
}

void print_progress(const View& view, std::chrono::nanoseconds elapsed) {
  char line[512];
  std::snprintf(line, sizeof line,
                "{\"type\":\"progress\",\"files\":%" PRIu64 ",\"directories\":%" PRIu64 ",\"bytes\":%" PRIu64
                ",\"skipped\":%" PRIu64 ",\"found_files\":%" PRIu64 ",\"found_bytes\":%" PRIu64
                ",\"found_all\":%s,\"fraction\":%.4f,\"seconds\":%.3f}\n",
                view.copied.files, view.copied.directories, view.copied.bytes, view.copied.skipped, view.found.files,
                view.found.bytes, view.found_all ? "true" : "false", fraction_of(view),
                std::chrono::duration<double>(elapsed).count());
  print(line);
}

void print_would_copy(std::string_view source, std::string_view target) {
  print("{\"type\":\"would_copy\",\"source\":" + json_string(source) + ",\"target\":" + json_string(target) + "}\n");
}

void print_error(std::string_view message) { print("{\"type\":\"error\",\"message\":" + json_string(message) + "}\n"); }

void print_end(int status, int signal) {
  print("{\"type\":\"end\",\"status\":" + std::to_string(status) + ",\"signal\":" + std::to_string(signal) + "}\n");
}

}  // namespace mpcopy
