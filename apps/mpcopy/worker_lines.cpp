#include "worker_lines.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cwchar>

#include "text.hpp"

namespace mpcopy {
namespace {

constexpr std::size_t kWidestBar = 10;

struct Size {
  std::size_t columns, rows;
};

Size terminal_size() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {80, 24};
  return {size.ws_col, size.ws_row};
}

// The longest end of the text that takes so many columns.  Its characters are printable, see shown().
std::string end_of(const std::string& text, std::size_t columns) {
  std::vector<std::pair<std::size_t, std::size_t>> characters;  // where each begins, and its columns
  std::mbstate_t state{};
  for (std::size_t at = 0; at < text.size();) {
    wchar_t character = 0;
    const std::size_t length = std::mbrtowc(&character, text.data() + at, text.size() - at, &state);
    if (length == 0 || length > text.size()) return {};
    characters.emplace_back(at, static_cast<std::size_t>(std::max(::wcwidth(character), 0)));
    at += length;
  }
  std::size_t begin = text.size();
  for (; !characters.empty() && characters.back().second <= columns; characters.pop_back()) {
    columns -= characters.back().second;
    begin = characters.back().first;
  }
  return text.substr(begin);
}

void print(const std::string& text) {
  const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
  static_cast<void>(ignored);  // a terminal that is gone shows nothing
}

}  // namespace

std::string worker_line(const Running& running, std::size_t columns) {
  const double share = running.all_bytes == 0
                           ? 1.0
                           : std::min(1.0, static_cast<double>(running.bytes) / static_cast<double>(running.all_bytes));
  const auto filled = static_cast<std::size_t>(share * kWidestBar);
  char head[64];
  std::snprintf(head, sizeof head, "[%s%s] %3d%%  %d  ", std::string(filled, '#').c_str(),
                std::string(kWidestBar - filled, '-').c_str(), static_cast<int>(share * 100), running.worker);
  std::string line(head);
  if (line.size() >= columns) return line.substr(0, columns);
  return line + end_of(shown(running.path), columns - line.size());
}

std::unique_ptr<WorkerLines> WorkerLines::on_terminal(int workers) {
  const char* terminal = std::getenv("TERM");
  if (::isatty(STDERR_FILENO) == 0 || terminal == nullptr || std::string(terminal) == "dumb") return nullptr;
  const int room = static_cast<int>(terminal_size().rows) - 2;
  return std::unique_ptr<WorkerLines>(new WorkerLines(std::max(1, std::min(workers, room))));
}

void WorkerLines::draw(const std::vector<Running>& workers) {
  const std::size_t columns = terminal_size().columns - 1;
  std::string text = "\r";
  text += drawn_ ? "\x1b[" + std::to_string(lines_) + "A" : "\x1b[K";
  for (std::size_t i = 0; i < lines_; ++i) {
    if (i < workers.size()) text += worker_line(workers[i], columns);
    text += "\x1b[K\n";
  }
  print(text);
  drawn_ = true;
}

void WorkerLines::clear() {
  if (!drawn_) return;
  print("\r\x1b[" + std::to_string(lines_) + "A\x1b[J");
  drawn_ = false;
}

}  // namespace mpcopy
