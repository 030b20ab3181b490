#include "multiprocessing/progress.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <list>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.hpp"

namespace multiprocessing {
namespace {

using base::Fd;

class EnvironmentVariable {  // set while this object lives
 public:
  EnvironmentVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    ::setenv(name, value, 1);
  }
  ~EnvironmentVariable() {
    if (old_) {
      ::setenv(name_, old_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  EnvironmentVariable(const EnvironmentVariable&) = delete;
  EnvironmentVariable& operator=(const EnvironmentVariable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

std::string read_what_is_there(int fd) {
  std::string all;
  char buffer[4096];
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  while (::poll(&ready, 1, 0) > 0 && (ready.revents & POLLIN) != 0) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) break;
    all.append(buffer, static_cast<std::size_t>(n));
  }
  return all;
}

class Pipe {
 public:
  Pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    reader = Fd(fds[0]);
    writer = Fd(fds[1]);
  }
  std::string text() const { return read_what_is_there(reader.get()); }
  Fd reader, writer;
};

class PseudoTerminal {
 public:
  explicit PseudoTerminal(unsigned short columns) : master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    if (::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) throw std::runtime_error("pty");
    slave = Fd(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    resize(columns);
  }
  void resize(unsigned short columns) const {
    const winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    ::ioctl(slave.get(), TIOCSWINSZ, &size);
  }
  std::string text() const { return read_what_is_there(master.get()); }
  Fd master, slave;

 private:
  EnvironmentVariable term_{"TERM", "xterm"};
  EnvironmentVariable locale_{"LC_ALL", "en_US.UTF-8"};
};

// The last line that a terminal was told to draw.
std::string last_drawing(const std::string& text) {
  const std::size_t end = text.rfind("\033[K");
  const std::size_t start = text.rfind('\r', end);
  return text.substr(start + 1, end - start - 1);
}

struct UnsizedRange {  // like a generator: input only, tells no size
  std::istringstream* in;
  auto begin() { return std::istream_iterator<int>(*in); }
  auto end() { return std::istream_iterator<int>(); }
};

struct ThrowsAfterThree {
  struct Iterator {
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    int at = 0;
    int operator*() const { return at; }
    Iterator& operator++() {
      if (++at == 3) throw std::runtime_error("three");
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return at == 10; }
  };
  Iterator begin() const { return {}; }
  std::default_sentinel_t end() const { return {}; }
  std::size_t size() const { return 10; }
};

// Not std::views::iota: clang 14 cannot compile the views of libstdc++ 12.
std::vector<int> up_to(int n) {
  std::vector<int> numbers(static_cast<std::size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

struct LateSizedRange {  // tells its size as the results of a pool do: perhaps
  std::list<int> items;
  auto begin() { return std::counted_iterator(items.begin(), std::ssize(items)); }
  auto end() { return std::default_sentinel; }
  std::optional<std::size_t> size() const { return items.size(); }
};

static_assert(std::ranges::input_range<Progress<std::vector<int>>>);
static_assert(std::ranges::input_range<Progress<UnsizedRange>>);
static_assert(std::is_same_v<decltype(*progress(std::vector<int>{}).begin()), int&>);

TEST(Progress, YieldsEachElementOfTheRangeOnceInOrder) {
  std::vector<int> seen;
  for (int i : progress(up_to(1000), {.quiet = true})) seen.push_back(i);
  EXPECT_EQ(seen, up_to(1000));
}

TEST(Progress, GivesReferencesIntoItsOwnCopyOfTheRange) {
  std::vector<std::string> names{"a", "b"};
  for (auto& name : progress(names, {.quiet = true})) name += "!";
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b"}));
}

TEST(Progress, TakesRangesThatCanOnlyBeMoved) {
  std::vector<std::unique_ptr<int>> items;
  items.push_back(std::make_unique<int>(7));
  int sum = 0;
  for (auto& item : progress(std::move(items), {.quiet = true})) sum += *item;
  EXPECT_EQ(sum, 7);
}

TEST(Progress, WritesOnePlainLineForAShortLoopIntoAPipe) {
  const Pipe pipe;
  for ([[maybe_unused]] int i : progress(std::vector<int>(1000), {.label = "working", .fd = pipe.writer.get()})) {
  }
  const std::string text = pipe.text();
  EXPECT_TRUE(text.starts_with("working 100% 1,000/1,000 [")) << text;
  EXPECT_TRUE(text.ends_with("/s]\n")) << text;
  EXPECT_EQ(std::ranges::count(text, '\n'), 1) << text;
}

TEST(Progress, SaysNothingWhenQuiet) {
  const Pipe pipe;
  for ([[maybe_unused]] int i : progress(std::vector<int>(10), {.quiet = true, .fd = pipe.writer.get()})) {
  }
  EXPECT_EQ(pipe.text(), "");
}

TEST(Progress, LearnsTheTotalFromASizeThatIsOnlyPerhapsKnown) {
  const Pipe pipe;
  for ([[maybe_unused]] int i : progress(LateSizedRange{{1, 2, 3}}, {.fd = pipe.writer.get()})) {
  }
  EXPECT_TRUE(pipe.text().starts_with("100% 3/3 ["));
}

TEST(Progress, ShowsCountAndRateWhereTheTotalIsUnknown) {
  const Pipe pipe;
  std::istringstream in("1 2 3 4");
  for ([[maybe_unused]] int i : progress(UnsizedRange{&in}, {.label = "reading", .fd = pipe.writer.get()})) {
  }
  EXPECT_TRUE(pipe.text().starts_with("reading 4 ["));
}

TEST(Progress, TakesTheTotalGivenOverTheSizeOfTheRange) {
  const Pipe pipe;
  for ([[maybe_unused]] int i : progress(std::vector<int>(5), {.total = 50, .fd = pipe.writer.get()})) {
  }
  EXPECT_TRUE(pipe.text().starts_with(" 10%  5/50 [")) << pipe.text();
}

TEST(Progress, OfNothingIsComplete) {
  const Pipe pipe;
  for ([[maybe_unused]] int i : progress(std::vector<int>{}, {.fd = pipe.writer.get()})) FAIL();
  EXPECT_TRUE(pipe.text().starts_with("100% 0/0 ["));
}

TEST(Progress, EndsItsLineWhenTheLoopIsLeftEarly) {
  const Pipe pipe;
  for (int i : progress(up_to(10), {.fd = pipe.writer.get()})) {
    if (i == 4) break;
  }
  const std::string text = pipe.text();
  EXPECT_TRUE(text.starts_with(" 40%  4/10 [")) << text;
  EXPECT_EQ(text.back(), '\n');
}

TEST(Progress, EndsItsLineWhenTheRangeThrowsAndCountsWhatWasDone) {
  const Pipe pipe;
  EXPECT_THROW(
      {
        for ([[maybe_unused]] int i : progress(ThrowsAfterThree{}, {.fd = pipe.writer.get()})) {
        }
      },
      std::runtime_error);
  EXPECT_TRUE(pipe.text().starts_with(" 30%  3/10 ["));
}

TEST(Progress, SurvivesAClosedDescriptorAndAClosedPipe) {
  Pipe pipe;
  pipe.reader.reset();  // a write raises SIGPIPE now
  int n = 0;
  for ([[maybe_unused]] int i : progress(std::vector<int>(10), {.fd = pipe.writer.get()})) ++n;
  for ([[maybe_unused]] int i : progress(std::vector<int>(10), {.fd = 1'000'000})) ++n;
  EXPECT_EQ(n, 20);
}

TEST(Progress, RedrawsOneLineInPlaceOnATerminal) {
  const PseudoTerminal terminal(40);
  for ([[maybe_unused]] int i : progress(std::vector<int>(20), {.label = "copying", .fd = terminal.slave.get()})) {
  }
  const std::string text = terminal.text();
  EXPECT_TRUE(text.starts_with("\rcopying   0% |          | [")) << text;
  EXPECT_TRUE(text.ends_with("]\033[K\r\n")) << text;
  EXPECT_TRUE(last_drawing(text).starts_with("copying 100% |██████████| [")) << text;
  EXPECT_EQ(std::ranges::count(text, '\n'), 1) << text;
}

TEST(Progress, TreatsADumbTerminalAsALog) {
  const PseudoTerminal terminal(80);
  const EnvironmentVariable dumb("TERM", "dumb");
  for ([[maybe_unused]] int i : progress(std::vector<int>(20), {.fd = terminal.slave.get()})) {
  }
  EXPECT_EQ(terminal.text().find('\033'), std::string::npos);
}

TEST(Progress, DrawsInAsciiInTheCLocale) {
  const PseudoTerminal terminal(40);
  const EnvironmentVariable locale("LC_ALL", "C");
  for ([[maybe_unused]] int i : progress(std::vector<int>(20), {.fd = terminal.slave.get()})) {
  }
  EXPECT_TRUE(last_drawing(terminal.text()).starts_with("100% |##################| ["));
}

TEST(ProgressBar, FollowsTheWidthOfTheTerminal) {
  const PseudoTerminal terminal(80);
  ProgressBar bar({.label = "copying", .total = 10, .fd = terminal.slave.get()});
  bar.advance(10);
  terminal.resize(24);
  bar.finish();
  EXPECT_EQ(last_drawing(terminal.text()), "copying 100% |████████|");
}

TEST(ProgressBar, RedrawsAtMostTwentyTimesASecond) {
  using Clock = std::chrono::steady_clock;
  const PseudoTerminal terminal(80);
  const auto start = Clock::now();
  ProgressBar bar({.total = 1'000'000, .fd = terminal.slave.get()});
  std::string text;
  while (Clock::now() - start < std::chrono::milliseconds(300)) {
    bar.advance();
    text += terminal.text();
  }
  bar.finish();
  const auto spent = Clock::now() - start;
  text += terminal.text();
  const auto drawings = std::ranges::count(text, '\033');
  EXPECT_GE(drawings, 3);
  EXPECT_LE(drawings, 2 + spent / std::chrono::milliseconds(50));
}

TEST(ProgressBar, FinishesOnce) {
  const Pipe pipe;
  {
    ProgressBar bar({.label = "a", .fd = pipe.writer.get()});
    ProgressBar other = std::move(bar);
    other.advance();
    other.finish();
    other.advance();
  }
  EXPECT_EQ(std::ranges::count(pipe.text(), '\n'), 1);
}

TEST(ProgressBar, IsSilentInAForkedChild) {
  const Pipe pipe;
  ProgressBar bar({.label = "a", .fd = pipe.writer.get()});
  const pid_t child = ::fork();
  if (child == 0) {
    bar.finish();
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(pipe.text(), "");
}

TEST(ProgressBar, TakesPercentAndRemainingTimeFromTheFractionWhereOneIsGiven) {
  const Pipe pipe;
  ProgressBar bar({.label = "copying", .unit = ProgressUnit::bytes, .fd = pipe.writer.get()});
  bar.update({.done = 1024, .total = 4096, .fraction = 0.5, .note = "3 files"});
  bar.finish();
  const std::string text = pipe.text();
  EXPECT_TRUE(text.starts_with("copying  50% 1.0/4.0 KiB, 3 files [")) << text;
}

}  // namespace
}  // namespace multiprocessing
