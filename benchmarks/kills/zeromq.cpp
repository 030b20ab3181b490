// Rival: ZeroMQ PUSH/PULL over ipc: each consumer binds an address of its own, each producer connects to all of them.
// A consumer that takes over binds the same address again, and ZeroMQ reconnects by itself.
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "kills/storm.hpp"

namespace {

class ZeromqTransport {
 public:
  using Child = bench::ForkedChild;

  explicit ZeromqTransport(std::size_t depth) : depth_{static_cast<int>(depth)} {
    const std::string path = "/tmp/multiprocessing-kills-" + std::to_string(::getpid()) + "-";
    for (std::size_t i = 0; i < bench::KillSettings{}.consumers; ++i) paths_.push_back(path + std::to_string(i));
  }
  ~ZeromqTransport() {
    for (const std::string& path : paths_) ::unlink(path.c_str());
  }
  ZeromqTransport(const ZeromqTransport&) = delete;
  ZeromqTransport& operator=(const ZeromqTransport&) = delete;

  class Sender {  // the context is made by the process that uses it: ZeroMQ's threads do not survive a fork
   public:
    Sender(const std::vector<std::string>& paths, int depth) : socket_{context_, zmq::socket_type::push} {
      socket_.set(zmq::sockopt::sndhwm, depth);
      socket_.set(zmq::sockopt::reconnect_ivl, 1);  // ms; the default is 100
      for (const std::string& path : paths) socket_.connect("ipc://" + path);
    }
    void send(const bench::Item& item) { socket_.send(zmq::const_buffer{&item, sizeof item}, zmq::send_flags::none); }

   private:
    zmq::context_t context_;
    zmq::socket_t socket_;
  };

  class Receiver {
   public:
    Receiver(const std::string& path, int depth) : socket_{context_, zmq::socket_type::pull} {
      socket_.set(zmq::sockopt::rcvhwm, depth);
      socket_.bind("ipc://" + path);
    }
    void receive(bench::Item& item) {
      bench::require(socket_.recv(message_, zmq::recv_flags::none).has_value(), "zmq receive failed");
      if (message_.size() == sizeof item) std::memcpy(&item, message_.data(), sizeof item);
    }

   private:
    zmq::context_t context_;
    zmq::socket_t socket_;
    zmq::message_t message_;
  };

  Sender sender() { return Sender{paths_, depth_}; }
  Receiver receiver(std::size_t position) { return Receiver{paths_[position], depth_}; }

 private:
  int depth_;
  std::vector<std::string> paths_;
};

}  // namespace

int main(int argc, char** argv) { return bench::kill_main<ZeromqTransport>(argc, argv); }
