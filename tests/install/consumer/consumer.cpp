// A program of a user: knows only what is installed.
#include <cstdlib>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <string>
#include <vector>

namespace mp = multiprocessing;

void bake(mp::Queue<std::string> queue) {
  for (int i = 0; i < 3; ++i) queue.put("bun " + std::to_string(i));
}

bool eats_what_was_baked() {
  mp::Queue<std::string> queue;
  mp::Process baker(bake, queue);
  baker.start();
  baker.join();
  queue.close();

  std::string eaten;
  for (const std::string& bun : queue) eaten += bun + ", ";
  return baker.exitcode() == 0 && eaten == "bun 0, bun 1, bun 2, ";
}

int test(int x) { return x + 100; }

bool maps_in_order() {
  mp::Pool pool(2);
  return pool.map(test, std::vector<int>{1, 2, 3}) == std::vector<int>{101, 102, 103};
}

bool talks_over_sockets() {
  const mp::Listener listener({.address = "tcp://127.0.0.1:0", .authkey = "0123456789abcdef"});
  mp::Process client([&] { mp::Client(listener.address(), "0123456789abcdef").send(42); });
  client.start();
  const int got = listener.accept().recv<int>();
  client.join();
  return got == 42;
}

int main() {
  const bool queue_works = eats_what_was_baked();
  const bool pool_works = maps_in_order();
  if (!queue_works) std::cerr << "consumer: the queue gave something else than was baked\n";
  if (!pool_works) std::cerr << "consumer: the pool's results are wrong\n";
  const bool sockets_work = talks_over_sockets();
  if (!sockets_work) std::cerr << "consumer: the listener's client said something else\n";
  return queue_works && pool_works && sockets_work ? EXIT_SUCCESS : EXIT_FAILURE;
}
