// Rival: boost::interprocess::message_queue, as its documentation uses it: a named queue of fixed-size slots,
// sent from the caller's memory and received into a buffer that is made once.
#include <unistd.h>

#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "queue/workload.hpp"

namespace {

using boost::interprocess::message_queue;

template <class Item>
class BoostTransport {
 public:
  using Child = bench::RawFork;

  explicit BoostTransport(const bench::Shape& shape)
      : name_{"multiprocessing-bench-" + std::to_string(::getpid())},
        bytes_{shape.bytes},
        queue_{boost::interprocess::create_only, name_.c_str(), shape.depth, shape.bytes} {}
  ~BoostTransport() { message_queue::remove(name_.c_str()); }
  BoostTransport(const BoostTransport&) = delete;
  BoostTransport& operator=(const BoostTransport&) = delete;

  class Sender {
   public:
    explicit Sender(const std::string& name) : queue_{boost::interprocess::open_only, name.c_str()} {}
    void send(const Item& item) {
      const auto bytes = bench::bytes_of(item);
      queue_.send(bytes.data(), bytes.size(), 0);
    }
    void flush() {}

   private:
    message_queue queue_;
  };

  class Receiver {
   public:
    Receiver(const std::string& name, std::size_t bytes)
        : queue_{boost::interprocess::open_only, name.c_str()}, buffer_(bytes) {}
    template <class Visit>
    std::size_t receive(std::size_t, Visit visit) {
      message_queue::size_type size = 0;
      unsigned priority = 0;
      queue_.receive(buffer_.data(), buffer_.size(), size, priority);
      visit(std::span<const std::byte>{buffer_.data(), size});
      return 1;
    }

   private:
    message_queue queue_;
    std::vector<std::byte> buffer_;
  };

  Sender sender() { return Sender{name_}; }
  Receiver receiver() { return Receiver{name_, bytes_}; }

 private:
  std::string name_;
  std::size_t bytes_;
  message_queue queue_;
};

}  // namespace

int main(int argc, char** argv) { return bench::queue_main<BoostTransport>(argc, argv); }
