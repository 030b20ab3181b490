// multiprocessing::Queue between Processes.  --batch: put_many and get_many, 64 items at a time.  --unbounded: the
// queue has no bound.  --loan: items are written and read in place.
#include <algorithm>
#include <cstddef>
#include <multiprocessing/queue.hpp>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "harness/child.hpp"
#include "queue/workload.hpp"

namespace {

namespace mp = multiprocessing;

constexpr std::size_t kBatch = 64;

template <class Item>
class Singles {
 public:
  using Child = bench::Child;

  explicit Singles(const bench::Shape& shape) : queue_{shape.depth} {}

  struct End {
    mp::Queue<Item> queue;
    void send(const Item& item) { queue.put(item); }
    void flush() {}
    template <class Visit>
    std::size_t receive(std::size_t, Visit visit) {
      const Item item = queue.get();
      visit(bench::bytes_of(item));
      return 1;
    }
  };
  End sender() { return {queue_}; }
  End receiver() { return {queue_}; }

 protected:
  mp::Queue<Item> queue_;
};

template <class Item>
class Unbounded : public Singles<Item> {
 public:
  explicit Unbounded(bench::Shape shape) : Singles<Item>{(shape.depth = 0, shape)} {}
};

template <class Item>
class Batches : public Singles<Item> {
 public:
  using Singles<Item>::Singles;

  class End {
   public:
    explicit End(mp::Queue<Item> queue) : queue_{std::move(queue)} { batch_.reserve(kBatch); }
    void send(const Item& item) {
      batch_.push_back(item);
      if (batch_.size() == kBatch) flush();
    }
    void flush() {
      queue_.put_many(batch_);
      batch_.clear();
    }
    template <class Visit>
    std::size_t receive(std::size_t most, Visit visit) {
      const std::vector<Item> items = queue_.get_many(std::min(most, kBatch));
      for (const Item& item : items) visit(bench::bytes_of(item));
      return items.size();
    }

   private:
    mp::Queue<Item> queue_;
    std::vector<Item> batch_;
  };
  End sender() { return End{this->queue_}; }
  End receiver() { return End{this->queue_}; }
};

struct Loans {
  using Child = bench::Child;

  explicit Loans(const bench::Shape& shape) : queue{shape.depth} {}

  struct End {
    mp::Queue<bench::Large> queue;
    template <class Write>
    void send_in_place(std::size_t bytes, Write write) {
      auto slot = queue.loan(bytes);
      write(std::span(slot));
      slot.publish();
    }
    void flush() {}
    template <class Visit>
    std::size_t receive(std::size_t, Visit visit) {
      visit(std::span(queue.view()));
      return 1;
    }
  };
  End sender() { return {queue}; }
  End receiver() { return {queue}; }

  mp::Queue<bench::Large> queue;
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments{argc, argv};
  if (arguments.flag("batch")) return bench::queue_main<Batches>(argc, argv);
  if (arguments.flag("loan")) {
    return bench::report([&] {
      return bench::measure_queue<bench::Large, Loans>(bench::Shape::from(arguments),
                                                       bench::Placement{arguments.flag("pinned")});
    });
  }
  if (arguments.flag("unbounded")) return bench::queue_main<Unbounded>(argc, argv);
  return bench::queue_main<Singles>(argc, argv);
}
