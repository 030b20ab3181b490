// The workloads of a parallel call: the sum of a large array that the caller has in memory, and items whose times differ
// wildly.  A contender is a class with two calls; what it starts, it starts within them or when it is made.
//
//   struct Contender {
//     Contender(std::size_t workers, const Placement&);        // worker i at seat i
//     double sum(std::span<const double> numbers);
//     void for_each(std::size_t items, const auto& f);          // f(i) for each i, once
//   };
#pragma once

#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "harness/arguments.hpp"
#include "harness/placement.hpp"
#include "harness/sample.hpp"

namespace bench {

// Private memory of the caller's, in pages of the usual size, or in huge ones where the kernel gives them.
class Numbers {
 public:
  Numbers(std::size_t count, bool huge) : count_(count) {
    void* memory = ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(memory != MAP_FAILED, "mmap failed");
    ::madvise(memory, bytes(), huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    first_ = static_cast<double*>(memory);
  }
  ~Numbers() { ::munmap(first_, bytes()); }
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;
  std::span<double> span() { return {first_, count_}; }

 private:
  std::size_t bytes() const { return count_ * sizeof(double); }
  std::size_t count_;
  double* first_ = nullptr;
};

template <class Contender>
Sample measure_sum(Contender& contender, std::size_t items, bool huge) {
  Numbers memory(items, huge);
  const std::span<double> numbers = memory.span();
  double expected = 0;
  for (std::size_t i = 0; i < items; ++i) {
    numbers[i] = static_cast<double>(i % 1024);  // any order of adding gives the same sum
    expected += numbers[i];
  }
  double sum = 0;
  const Sample sample = timed(items, [&] { sum = contender.sum(numbers); });
  require(sum == expected, "the sum is wrong");
  return sample;
}

// How long each item takes.  By the clock and not by a number of steps: the ideal is then known.
enum class Shape { ascending, descending, spikes };
inline constexpr std::array shapes{Shape::ascending, Shape::descending, Shape::spikes};

inline std::int64_t item_ns(Shape shape, std::size_t i, std::size_t items) {
  constexpr double mean_ns = 100'000;
  const double x = (static_cast<double>(i) + 0.5) / static_cast<double>(items);
  switch (shape) {
    case Shape::ascending:
      return static_cast<std::int64_t>(mean_ns * 3 * x * x);
    case Shape::descending:
      return static_cast<std::int64_t>(mean_ns * 3 * (1 - x) * (1 - x));
    case Shape::spikes:
      return static_cast<std::int64_t>(mean_ns * (i % 101 == 50 ? 50 : 0.5));
  }
  return 0;
}

inline void spin(std::int64_t nanoseconds) {
  for (const std::int64_t end = now_ns() + nanoseconds; now_ns() < end;) {
  }
}

template <class Contender>
Sample measure_skewed(Contender& contender, std::size_t items) {
  return timed(items, [&] {
    for (const Shape shape : shapes) {
      contender.for_each(items / shapes.size(), [&](std::size_t i) { spin(item_ns(shape, i, items / shapes.size())); });
    }
  });
}

// --skewed: items of different times; otherwise the sum, with --huge of memory in huge pages.
template <class Contender>
int parallel_main(int argc, char** argv) {
  return report([&] {
    const Arguments arguments{argc, argv};
    const std::size_t items = arguments.number("items", 1'000'000);
    const Placement placement{arguments.flag("pinned")};
    Contender contender{arguments.number("workers", 2), placement};
    const std::vector<double> few{1, 2, 3};
    require(contender.sum(few) == 6, "the sum is wrong");  // what the first call sets up is there
    return arguments.flag("skewed") ? measure_skewed(contender, items)
                                    : measure_sum(contender, items, arguments.flag("huge"));
  });
}

}  // namespace bench
