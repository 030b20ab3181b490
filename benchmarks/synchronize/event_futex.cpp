// Limit: a word for each side, looked at a while and then slept on.  It survives a death no better than its peer.
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "synchronize/workload.hpp"

namespace {

struct Words {
  struct alignas(64) Word {
    std::atomic<std::uint32_t> set{0};
    std::atomic<std::uint32_t> sleeps{0};
  };
  std::array<Word, 2> of;
};

bool has_cores() {
  cpu_set_t allowed;
  return ::sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) > 1;
}

struct Raw {
  using Child = bench::RawFork;
  struct End {
    Words* words;
    bool spins;
    void give(int to) const {
      auto& word = words->of[static_cast<std::size_t>(to)];
      word.set.store(1);
      if (word.sleeps.load() != 0) ::syscall(SYS_futex, &word.set, FUTEX_WAKE, 1, nullptr, nullptr, 0);
    }
    void await(int who) const {
      auto& word = words->of[static_cast<std::size_t>(who)];
      for (int look = spins ? 2'000 : 0; look > 0 && word.set.load(std::memory_order_acquire) == 0; --look) {
        __builtin_ia32_pause();
      }
      while (word.set.load() == 0) {
        word.sleeps.store(1);
        ::syscall(SYS_futex, &word.set, FUTEX_WAIT, 0, nullptr, nullptr, 0);
        word.sleeps.store(0);
      }
      word.set.store(0);
    }
  };
  End end() const { return {&*words, spins}; }
  bench::Shared<Words> words;
  bool spins = has_cores();  // asked before anybody is pinned
};

}  // namespace

int main(int argc, char** argv) { return bench::turns_main<Raw>(argc, argv); }
