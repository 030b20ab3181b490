// multiprocessing::Queue between Processes.
#include <cstddef>
#include <multiprocessing/process.hpp>
#include <multiprocessing/queue.hpp>
#include <optional>
#include <utility>

#include "kills/storm.hpp"

namespace {

namespace mp = multiprocessing;

class ProcessChild {
 public:
  template <class Body>
  explicit ProcessChild(Body body) : process_{std::move(body)} {
    process_.start();
  }
  ProcessChild(const ProcessChild&) = delete;
  ProcessChild& operator=(const ProcessChild&) = delete;
  ~ProcessChild() { static_cast<void>(end()); }

  int end() {
    process_.kill();
    process_.join();
    return *process_.exitcode();
  }
  std::optional<int> ended() { return process_.exitcode(); }

 private:
  mp::Process process_;
};

class QueueTransport {
 public:
  using Child = ProcessChild;

  explicit QueueTransport(std::size_t depth) : queue_{depth} {}

  struct End {
    mp::Queue<bench::Item> queue;
    void send(const bench::Item& item) { queue.put(item); }
    void receive(bench::Item& item) { item = queue.get(); }
  };
  End sender() { return {queue_}; }
  End receiver(std::size_t /*position*/) { return {queue_}; }

 private:
  mp::Queue<bench::Item> queue_;
};

}  // namespace

int main(int argc, char** argv) { return bench::kill_main<QueueTransport>(argc, argv); }
