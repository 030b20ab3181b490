// "Lock-free": the well-known bounded ring with a sequence number in each slot (Vyukov).  A process claims a slot by a
// compare-and-swap of the position, fills it, and publishes it by the slot's number.  Waits by yielding.
#include <sched.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>

#include "kills/storm.hpp"

namespace {

constexpr std::size_t kSlots = 1024;

struct Ring {
  struct Slot {
    std::atomic<std::uint64_t> number;
    bench::Item item;
  };
  alignas(64) std::atomic<std::uint64_t> tail{0};
  alignas(64) std::atomic<std::uint64_t> head{0};
  alignas(64) std::array<Slot, kSlots> slots;
  Ring() {
    for (std::size_t i = 0; i < kSlots; ++i) slots[i].number = i;
  }
};

class LockFreeTransport {
 public:
  using Child = bench::ForkedChild;

  explicit LockFreeTransport(std::size_t depth) {
    bench::require(depth == kSlots, "this ring has 1,024 slots");
    void* memory = ::mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    ring_ = new (memory) Ring;
  }
  ~LockFreeTransport() { ::munmap(static_cast<void*>(ring_), sizeof(Ring)); }
  LockFreeTransport(const LockFreeTransport&) = delete;
  LockFreeTransport& operator=(const LockFreeTransport&) = delete;

  struct End {
    Ring& ring;
    void send(const bench::Item& item) {
      Ring::Slot& slot = claim(ring.tail, 0);
      slot.item = item;
      slot.number.fetch_add(1, std::memory_order_release);  // sync(slot-filled)
    }
    void receive(bench::Item& item) {
      Ring::Slot& slot = claim(ring.head, 1);
      item = slot.item;
      slot.number.fetch_add(kSlots - 1, std::memory_order_release);  // sync(slot-free)
    }

   private:
    // The slot at the position, once its number says that it is ready for us.
    Ring::Slot& claim(std::atomic<std::uint64_t>& position, std::uint64_t ready) {
      for (;;) {
        std::uint64_t at = position.load(std::memory_order_relaxed);
        Ring::Slot& slot = ring.slots[at % kSlots];
        const std::uint64_t number = slot.number.load(std::memory_order_acquire);  // sync(slot-filled), sync(slot-free)
        if (number == at + ready) {
          if (position.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) return slot;
        } else {
          ::sched_yield();
        }
      }
    }
  };
  End sender() { return {*ring_}; }
  End receiver(std::size_t /*position*/) { return {*ring_}; }

 private:
  Ring* ring_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) { return bench::kill_main<LockFreeTransport>(argc, argv); }
