// join() of a JoinableQueue: when all that was put has been done, not only taken.
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <vector>

namespace mp = multiprocessing;

void consume(const mp::JoinableQueue<int>& queue, const mp::Value<long>& sum) {
  for (;;) {
    const int item = queue.get();
    sum.update([item](long& all) { all += item; });
    queue.task_done();
  }
}

int main() {
  const mp::JoinableQueue<int> queue(100);
  const mp::Value<long> sum(0);
  std::vector<mp::Process> consumers;
  for (int i = 0; i < 3; ++i) {
    consumers.emplace_back(mp::ProcessOptions{.daemon = true}, consume, queue, sum);  // they end with the program
    consumers.back().start();
  }
  for (int i = 1; i <= 1000; ++i) queue.put(i);
  queue.join();
  std::cout << "three consumers have added 1 to 1000: " << sum.get() << std::endl;
}
