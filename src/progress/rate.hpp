// How fast something goes now: an average in which what happened `memory` ago counts a third (1/e).
#pragma once

#include <chrono>
#include <cmath>
#include <optional>

namespace multiprocessing::progress_ {

class RateMeter {
 public:
  using Seconds = std::chrono::duration<double>;

  explicit RateMeter(Seconds memory) : memory_(memory) {}

  // `amount`: what is done in all by the time `at`, counted from the start.
  void observe(double amount, Seconds at) {
    const Seconds step = at - last_at_;
    if (step.count() <= 0) return;
    const double fade = std::exp(-step / memory_);
    gained_ = gained_ * fade + (amount - last_amount_);
    spent_ = spent_ * fade + step;
    last_amount_ = amount;
    last_at_ = at;
  }

  // Per second; empty before anything was seen to move.  Both sums fade alike, so this is the plain average at first.
  [[nodiscard]] std::optional<double> per_second() const {
    if (gained_ <= 0 || spent_.count() <= 0) return std::nullopt;
    return gained_ / spent_.count();
  }

 private:
  Seconds memory_;
  Seconds last_at_{0};
  Seconds spent_{0};
  double last_amount_ = 0;
  double gained_ = 0;
};

}  // namespace multiprocessing::progress_
