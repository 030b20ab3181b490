// Adaptive spinning before a sleep: worth 100 × when the peer runs on another core, a loss when it does not run.
//
//   Spin spin;
//   while (!condition()) if (!spin.again()) { sleep on a futex; }
//
// Each thread keeps one budget: it doubles when spinning paid off and halves when it did not, so on an oversubscribed
// machine, or with a peer on the same core, spinning ends after a few tries and is only probed now and then.
#pragma once

namespace multiprocessing::sync {

class Spin {
 public:
  // `cost` of a look at the condition: 1 for a load, more for more.
  explicit Spin(int cost = 1) noexcept;
  // True: look at the condition again.  False: the budget is spent, sleep now.
  [[nodiscard]] bool again() noexcept;
  // The condition came true while spinning (or at once).
  void paid_off() noexcept;

 private:
  int cost_;
  int left_;
};

}  // namespace multiprocessing::sync
