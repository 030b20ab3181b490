#include "throttle.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace mpcopy {
namespace {

Throttle* current = nullptr;  // of this process, or inherited from the one that forked it

// What was not used in the past is lost but for this much: the rate is one of every short while.
constexpr std::int64_t kSavings = 50'000'000;  // ns

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Throttle::Throttle(std::uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second), paid_until_(now()) {
  current = this;
}

Throttle::~Throttle() { current = nullptr; }

void Throttle::pay(std::uint64_t bytes) {
  const double seconds = static_cast<double>(bytes) / static_cast<double>(bytes_per_second_);
  const auto price = static_cast<std::int64_t>(seconds * 1e9);
  const std::int64_t until = paid_until_.update([price](std::int64_t& paid) {
    paid = std::max(paid, now() - kSavings) + price;
    return paid;
  });
  std::this_thread::sleep_for(std::chrono::nanoseconds(until - now()));
}

Throttle* Throttle::inherited() { return current; }

}  // namespace mpcopy
