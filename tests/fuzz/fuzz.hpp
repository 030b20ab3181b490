// A fuzz target: one file here, and its line in CMakeLists.txt.
//
//   FUZZ_TARGET(bytes) { decode(bytes); }              // an Error is as good as a result; crash, hang or FUZZ_REQUIRE is not
//   FUZZ_SEEDS() { return {encoded(1), encoded(2)}; }  // to begin with, beside corpus/<target>/
//
// Every test run takes the seeds, the corpus and mutations of them (replay.cpp); `scripts/fuzz` searches for hours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

namespace multiprocessing::fuzz {

using Bytes = std::vector<std::byte>;
using Seeds = std::vector<Bytes>;

void run(std::span<const std::byte> input);
Seeds seeds();

[[noreturn]] inline void violated(const char* what) {
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

// Reads an input piece by piece; zeros behind its end.
class Input {
 public:
  explicit Input(std::span<const std::byte> bytes) : rest_(bytes) {}
  [[nodiscard]] std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto first = std::to_integer<std::uint8_t>(rest_[0]);
    rest_ = rest_.subspan(1);
    return first;
  }
  [[nodiscard]] std::span<const std::byte> rest() const { return rest_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
};

inline void append(Bytes& to, std::span<const std::byte> bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

}  // namespace multiprocessing::fuzz

#define FUZZ_REQUIRE(condition)                                      \
  do {                                                               \
    if (!(condition)) ::multiprocessing::fuzz::violated(#condition); \
  } while (false)

#define FUZZ_TARGET(name)                                                             \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    ::multiprocessing::fuzz::run({reinterpret_cast<const std::byte*>(data), size});   \
    return 0;                                                                         \
  }                                                                                   \
  void multiprocessing::fuzz::run(std::span<const std::byte> name)
#define FUZZ_SEEDS() multiprocessing::fuzz::Seeds multiprocessing::fuzz::seeds()
