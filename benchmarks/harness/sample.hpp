// Sample: what one run of one benchmark program measured, and the line that carries it to the runner.
//
// A program takes exactly one sample and ends: the runner interleaves the programs of rivals, so that a machine
// that slows down for a while slows all of them down, and no contender warms caches or heaps for the next.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

namespace bench {

// CLOCK_MONOTONIC in nanoseconds: one clock for all processes of a run.
inline std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Sample {
  std::size_t items = 0;
  std::int64_t nanoseconds = 0;
  std::optional<std::int64_t> kib = std::nullopt;  // of all items together, where memory is what is measured
};

// Every item is checked; a contender that loses or damages one has no speed at all.
inline void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

template <class Work>
Sample timed(std::size_t items, Work&& work) {
  const std::int64_t begin = now_ns();
  std::forward<Work>(work)();
  return {items, now_ns() - begin};
}

// The body of every main(): runs `measure` and prints its sample, or says on stderr why there is none.
template <class Measure>
int report(Measure&& measure) {
  try {
    const Sample sample = std::forward<Measure>(measure)();
    if (sample.kib)
      return std::printf("items=%zu KiB=%lld\n", sample.items, static_cast<long long>(*sample.kib)), EXIT_SUCCESS;
    std::printf("items=%zu seconds=%.9f\n", sample.items, static_cast<double>(sample.nanoseconds) * 1e-9);
    return EXIT_SUCCESS;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark failed: %s\n", error.what());
    return EXIT_FAILURE;
  }
}

}  // namespace bench
