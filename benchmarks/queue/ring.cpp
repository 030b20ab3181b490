// Limit: the least that any queue between two processes must do: a single-producer single-consumer ring in shared
// memory, remote index cached, waiting by spinning.  It survives nothing, sleeps never and serves one pair only.
#include <sched.h>
#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <stdexcept>

#include "queue/workload.hpp"

namespace {

struct Indices {
  alignas(64) std::atomic<std::uint64_t> head{0};  // next to read, written by the consumer
  alignas(64) std::atomic<std::uint64_t> tail{0};  // next to write, written by the producer
};

// Yields now and then, so that the ring also runs where both processes have only one core.
template <class Ready>
void spin_until(Ready ready) {
  for (unsigned turns = 1; !ready(); ++turns)
    if (turns % 4096 == 0)
      ::sched_yield();
    else
      __builtin_ia32_pause();
}

template <class Item>
class RingTransport {
 public:
  using Child = bench::RawFork;

  explicit RingTransport(const bench::Shape& shape) : bytes_{shape.bytes}, depth_{shape.depth} {
    bench::require(shape.producers == 1 && shape.consumers == 1, "the ring joins one producer and one consumer");
    void* memory = ::mmap(nullptr, mapped(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    indices_ = new (memory) Indices;
    slots_ = static_cast<std::byte*>(memory) + sizeof(Indices);
    std::memset(slots_, 0, bytes_ * depth_);  // no page faults during the measurement
  }
  ~RingTransport() { ::munmap(indices_, mapped()); }
  RingTransport(const RingTransport&) = delete;
  RingTransport& operator=(const RingTransport&) = delete;

  class Sender {
   public:
    explicit Sender(RingTransport& ring) : ring_{ring} {}
    void send(const Item& item) {
      if (tail_ - head_ == ring_.depth_)
        spin_until([&] {
          head_ = ring_.indices_->head.load(std::memory_order_acquire);  // sync(slot-free)
          return tail_ - head_ < ring_.depth_;
        });
      const auto bytes = bench::bytes_of(item);
      std::memcpy(ring_.slot(tail_), bytes.data(), bytes.size());
      ring_.indices_->tail.store(++tail_, std::memory_order_release);  // sync(slot-filled)
    }
    void flush() {}

   private:
    RingTransport& ring_;
    std::uint64_t tail_ = 0;
    std::uint64_t head_ = 0;  // as last seen
  };

  class Receiver {  // copies out before it frees the slot, as every queue with values must
   public:
    explicit Receiver(RingTransport& ring)
        : ring_{ring}, item_{bench::blank(static_cast<const Item*>(nullptr), ring.bytes_)} {}
    template <class Visit>
    std::size_t receive(std::size_t, Visit visit) {
      if (head_ == tail_)
        spin_until([&] {
          tail_ = ring_.indices_->tail.load(std::memory_order_acquire);  // sync(slot-filled)
          return head_ != tail_;
        });
      const auto bytes = bench::bytes_of(item_);
      std::memcpy(bytes.data(), ring_.slot(head_), bytes.size());
      ring_.indices_->head.store(++head_, std::memory_order_release);  // sync(slot-free)
      visit(std::span<const std::byte>{bytes});
      return 1;
    }

   private:
    RingTransport& ring_;
    Item item_;
    std::uint64_t head_ = 0;
    std::uint64_t tail_ = 0;  // as last seen
  };

  Sender sender() { return Sender{*this}; }
  Receiver receiver() { return Receiver{*this}; }

 private:
  std::size_t mapped() const { return sizeof(Indices) + bytes_ * depth_; }
  std::byte* slot(std::uint64_t position) { return slots_ + position % depth_ * bytes_; }

  std::size_t bytes_;
  std::size_t depth_;
  Indices* indices_ = nullptr;
  std::byte* slots_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) { return bench::queue_main<RingTransport>(argc, argv); }
