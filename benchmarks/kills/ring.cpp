// What one writes without thinking of death: a ring in shared memory, with a process-shared mutex and two condition
// variables.
#include <pthread.h>
#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <new>
#include <stdexcept>

#include "kills/storm.hpp"

namespace {

constexpr std::size_t kMostSlots = 1024;

struct Ring {
  pthread_mutex_t mutex;
  pthread_cond_t not_empty;
  pthread_cond_t not_full;
  std::size_t head;
  std::size_t tail;
  std::array<bench::Item, kMostSlots> slots;

  Ring() : head{0}, tail{0} {
    pthread_mutexattr_t of_mutex;
    pthread_mutexattr_init(&of_mutex);
    pthread_mutexattr_setpshared(&of_mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&mutex, &of_mutex);
    pthread_condattr_t of_cond;
    pthread_condattr_init(&of_cond);
    pthread_condattr_setpshared(&of_cond, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&not_empty, &of_cond);
    pthread_cond_init(&not_full, &of_cond);
  }
};

class RingTransport {
 public:
  using Child = bench::ForkedChild;

  explicit RingTransport(std::size_t depth) : depth_{depth} {
    bench::require(depth <= kMostSlots, "the ring has no room for that many");
    void* memory = ::mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    ring_ = new (memory) Ring;
  }
  ~RingTransport() { ::munmap(ring_, sizeof(Ring)); }
  RingTransport(const RingTransport&) = delete;
  RingTransport& operator=(const RingTransport&) = delete;

  struct End {
    Ring& ring;
    std::size_t depth;
    void send(const bench::Item& item) {
      pthread_mutex_lock(&ring.mutex);
      while (ring.tail - ring.head == depth) pthread_cond_wait(&ring.not_full, &ring.mutex);
      ring.slots[ring.tail++ % depth] = item;
      pthread_mutex_unlock(&ring.mutex);
      pthread_cond_signal(&ring.not_empty);
    }
    void receive(bench::Item& item) {
      pthread_mutex_lock(&ring.mutex);
      while (ring.tail == ring.head) pthread_cond_wait(&ring.not_empty, &ring.mutex);
      item = ring.slots[ring.head++ % depth];
      pthread_mutex_unlock(&ring.mutex);
      pthread_cond_signal(&ring.not_full);
    }
  };
  End sender() { return {*ring_, depth_}; }
  End receiver(std::size_t /*position*/) { return {*ring_, depth_}; }

 private:
  std::size_t depth_;
  Ring* ring_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) { return bench::kill_main<RingTransport>(argc, argv); }
