// Adaptive spinning before a sleep: worth 10 × and more when the peer runs on another core, a loss when it does not
// run.
//
//   Spin spin;
//   while (!condition()) if (!spin.again()) { sleep on a futex; }
//   else spin.paid_off();
//
// Each thread keeps one budget.  It follows twice the looks that were needed when spinning paid off, and halves when
// it did not; so on an oversubscribed machine, or with a peer on the same core, next to nothing is left of it.  From
// there only a probe finds the way back: one try in 8 … 256 has the largest budget, which two sides that both sleep need
// to find out that neither would have to.
#pragma once

#include <cstddef>

namespace multiprocessing::sync {

// Tells the core that this is a spin; some 40 cycles on current ones.
inline void pause_cpu() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

inline void prefetch(const void* address) noexcept { __builtin_prefetch(address); }
// For a line that another core has read and this one is about to write.
inline void prefetch_to_write(void* address) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*static_cast<char*>(address)));  // the builtin needs -mprfchw
#else
  __builtin_prefetch(address, 1);
#endif
}

// For spinning that does not adapt itself.  False with one CPU to run on: whoever we wait for may need the same.  Asks
// the system the first time only.
[[nodiscard]] bool is_spinning_useful() noexcept;

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
  int given_;
  int left_;
};

// Keeps the reader of a stream from running into its writer.  Two that go in step, each change read as soon as it is
// made, pass a cache line back and forth for every one of them; a reader that lets a few come together reads them at
// several times the speed ("temporal slipping" of FastForward, Giacomoni et al., PPoPP 2008).
//
//   if (spun until there was something) slip.wait();    // a few µs, or nothing
//   slip.found(how much there is now);
//
// Each thread keeps in mind whether that was worth its while.  When it was not, as in request and reply, only one
// wait in 64 is a try.
class Slip {
 public:
  void wait() noexcept;
  void found(std::size_t count) noexcept;

 private:
  bool waited_ = false;
};

}  // namespace multiprocessing::sync
