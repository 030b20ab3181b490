// Rival: boost::interprocess::message_queue.
#include <unistd.h>

#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstddef>
#include <string>

#include "kills/storm.hpp"

namespace {

using boost::interprocess::message_queue;

class BoostTransport {
 public:
  using Child = bench::ForkedChild;

  explicit BoostTransport(std::size_t depth)
      : name_{"multiprocessing-kills-" + std::to_string(::getpid())},
        queue_{boost::interprocess::create_only, name_.c_str(), depth, sizeof(bench::Item)} {}
  ~BoostTransport() { message_queue::remove(name_.c_str()); }
  BoostTransport(const BoostTransport&) = delete;
  BoostTransport& operator=(const BoostTransport&) = delete;

  class End {
   public:
    explicit End(const std::string& name) : queue_{boost::interprocess::open_only, name.c_str()} {}
    void send(const bench::Item& item) { queue_.send(&item, sizeof item, 0); }
    void receive(bench::Item& item) {
      message_queue::size_type size = 0;
      unsigned priority = 0;
      queue_.receive(&item, sizeof item, size, priority);
    }

   private:
    message_queue queue_;
  };
  End sender() { return End{name_}; }
  End receiver(std::size_t /*position*/) { return End{name_}; }

 private:
  std::string name_;
  message_queue queue_;
};

}  // namespace

int main(int argc, char** argv) { return bench::kill_main<BoostTransport>(argc, argv); }
