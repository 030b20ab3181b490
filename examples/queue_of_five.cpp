// A queue with room for five: what put() and get() do when it is full or empty, waiting, for a while, or not at all.
#include <chrono>
#include <iostream>
#include <multiprocessing/process.hpp>
#include <multiprocessing/queue.hpp>
#include <thread>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

int main() {
  const mp::Queue<int> queue(5);
  for (int i = 1; i <= 5; ++i) queue.put(i);
  std::cout << queue.qsize() << " of " << queue.maxsize() << (queue.full() ? ": full" : ": not full") << std::endl;

  try {
    queue.put_nowait(6);
  } catch (const mp::Full&) {
    std::cout << "put_nowait: full" << std::endl;
  }
  try {
    queue.put(6, 10ms);
  } catch (const mp::Full&) {
    std::cout << "put with a timeout: still full" << std::endl;
  }

  mp::Process taker([queue] {
    std::this_thread::sleep_for(20ms);
    std::cout << "somebody takes " << queue.get() << std::endl;
  });
  taker.start();
  queue.put(6);  // waits until there is room
  taker.join();
  std::cout << "then 6 went in" << std::endl;

  while (const auto item = queue.try_get()) std::cout << *item << ' ';
  std::cout << "came out: " << (queue.empty() ? "empty" : "not empty") << std::endl;
  try {
    std::cout << queue.get_nowait() << std::endl;
  } catch (const mp::Empty&) {
    std::cout << "get_nowait: empty" << std::endl;
  }
}
