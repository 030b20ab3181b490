// mp_storm: structures of the library under random SIGKILLs.
//
//   mp_storm --kills 20000 --seconds 300 --seed 7 --target queue
//
// Each target has worker processes that hammer one structure, or several (part.hpp), and check every item they see, while
// a crew (crew.hpp) kills, stops and continues them at random and replaces the dead.  A storm ends after so many kills
// or seconds, whichever comes first; then nothing may be left.  One line per target, exit status 1 on any violation.
// The seed decides victims, gaps and data; what the scheduler adds cannot be replayed.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace multiprocessing::storm {

struct Settings {
  int kills = 1'000;
  int seconds = 60;
  std::uint64_t seed = 1;
  bool hold = false;  // what hangs is left as it is, for a debugger
};

struct Report {
  std::uint64_t kills = 0;
  std::uint64_t operations = 0;
  std::uint64_t violations = 0;
  std::vector<std::string> messages;  // of the first violations
  std::chrono::nanoseconds longest_standstill{0};  // of a process that was not killed meanwhile
  std::map<std::string, std::uint64_t> tallies;  // anything worth a word in the line

  void violation(std::string text) {
    ++violations;
    if (messages.size() < 20) messages.push_back(std::move(text));
  }
};

struct Target {
  const char* name;
  const char* what;
  void (*run)(const Settings&, Report&);
};

[[nodiscard]] std::span<const Target> targets();

void pool_storm(const Settings&, Report&);
void retries_storm(const Settings&, Report&);

// splitmix64: the same numbers everywhere, and cheap enough for each item.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
  }
  std::uint64_t below(std::uint64_t end) noexcept { return next() % end; }
  bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace multiprocessing::storm
