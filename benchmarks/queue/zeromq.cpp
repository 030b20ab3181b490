// Rival: ZeroMQ PUSH/PULL over ipc, one or more producers and one consumer.  The high-water mark stands in for the
// depth of the queue; the received message is looked at in place, as ZeroMQ intends.
#include <unistd.h>

#include <cstddef>
#include <span>
#include <string>
#include <zmq.hpp>

#include "queue/workload.hpp"

namespace {

template <class Item>
class ZeromqTransport {
 public:
  using Child = bench::RawFork;

  explicit ZeromqTransport(const bench::Shape& shape)
      : path_{"/tmp/multiprocessing-bench-" + std::to_string(::getpid())}, depth_{static_cast<int>(shape.depth)} {
    bench::require(shape.consumers == 1, "PUSH deals items out to consumers beforehand: no shared queue to compare");
  }
  ~ZeromqTransport() { ::unlink(path_.c_str()); }
  ZeromqTransport(const ZeromqTransport&) = delete;
  ZeromqTransport& operator=(const ZeromqTransport&) = delete;

  class Sender {  // the context is made by the process that uses it: ZeroMQ's threads do not survive a fork
   public:
    Sender(const std::string& address, int depth) : socket_{context_, zmq::socket_type::push} {
      socket_.set(zmq::sockopt::sndhwm, depth);
      socket_.connect(address);
    }
    void send(const Item& item) {
      const auto bytes = bench::bytes_of(item);
      socket_.send(zmq::const_buffer{bytes.data(), bytes.size()}, zmq::send_flags::none);
    }
    void flush() {}

   private:
    zmq::context_t context_;
    zmq::socket_t socket_;
  };

  class Receiver {
   public:
    Receiver(const std::string& address, int depth) : socket_{context_, zmq::socket_type::pull} {
      socket_.set(zmq::sockopt::rcvhwm, depth);
      socket_.bind(address);
    }
    template <class Visit>
    std::size_t receive(std::size_t, Visit visit) {
      bench::require(socket_.recv(message_, zmq::recv_flags::none).has_value(), "zmq receive failed");
      visit(std::span{static_cast<const std::byte*>(message_.data()), message_.size()});
      return 1;
    }

   private:
    zmq::context_t context_;
    zmq::socket_t socket_;
    zmq::message_t message_;
  };

  Sender sender() { return Sender{"ipc://" + path_, depth_}; }
  Receiver receiver() { return Receiver{"ipc://" + path_, depth_}; }

 private:
  std::string path_;
  int depth_;
};

}  // namespace

int main(int argc, char** argv) { return bench::queue_main<ZeromqTransport>(argc, argv); }
