// What gdb is to print: stops in here(), with a handle of each kind.
#include <multiprocessing/multiprocessing.hpp>
#include <string>
#include <vector>

namespace mp = multiprocessing;

struct Point {
  int x;
  double y;
};

__attribute__((noinline)) void here() { asm volatile(""); }

int main() {
  const mp::Queue<int> queue(5), closed;
  queue.put(1);
  queue.put(2);
  closed.put(3);
  closed.close();
  const mp::JoinableQueue<std::string> joinable(9);
  joinable.put("x");
  const mp::Lock lock, held;
  held.acquire();
  const mp::RLock rlock;
  rlock.acquire();
  rlock.acquire();
  const mp::Semaphore semaphore(3);
  semaphore.acquire();
  const mp::Event event;
  event.set();
  const mp::Barrier barrier(4);
  const mp::Value<Point> value(Point{1, 2.5});
  const mp::Array<double> array(std::vector<double>{1, 2, 3});
  const mp::Pool pool(2);
  const mp::Process process([] {});
  here();
  rlock.release();
  rlock.release();
  held.release();
}
