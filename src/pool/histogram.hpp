// How long tasks take: a histogram with four steps to the power of two.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace multiprocessing::pool {

class Histogram {
 public:
  void add(double ns, std::size_t count) noexcept {
    const double step = 4 * std::log2(std::max(ns, 1.0));
    counts_[std::min(static_cast<std::size_t>(step), counts_.size() - 1)] += count;
    all_ += count;
  }
  // The least time that this share of all did not exceed.
  [[nodiscard]] std::chrono::nanoseconds quantile(double share) const noexcept {
    const double wanted = share * static_cast<double>(all_);
    double seen = 0;
    for (std::size_t i = 0; i < counts_.size() && all_ != 0; ++i) {
      seen += static_cast<double>(counts_[i]);
      if (seen >= wanted)
        return std::chrono::nanoseconds(static_cast<std::int64_t>(std::exp2((static_cast<double>(i) + 1) / 4)));
    }
    return {};
  }

 private:
  std::array<std::uint64_t, 200> counts_{};  // up to 2^50 ns, 13 days
  std::uint64_t all_ = 0;
};

}  // namespace multiprocessing::pool
