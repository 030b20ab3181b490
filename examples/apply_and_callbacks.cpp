// apply() waits for its result; apply_async() gives a promise of it, and calls back.
#include <chrono>
#include <exception>
#include <iostream>
#include <multiprocessing/pool.hpp>
#include <stdexcept>
#include <string>
#include <thread>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

int test(int x) {
  std::this_thread::sleep_for(20ms);
  if (x < 0) throw std::invalid_argument("x is negative");
  return x + 100;
}

int main() {
  mp::Pool pool(3);
  std::cout << "apply: " << pool.apply(test, 1) << std::endl;

  const auto later = pool.apply_async(test, 2);
  std::cout << "apply_async: " << (later.ready() ? "ready" : "not ready yet") << std::endl;
  std::cout << "apply_async: " << later.get() << std::endl;

  // Callbacks run in a thread of the pool: what they print is one string each.
  pool.apply_async(test, 3).on_success([](int r) { std::cout << "called back with " + std::to_string(r) + "\n"; });
  const auto failing = pool.apply_async(test, -1);
  failing.on_error([](const std::exception_ptr&) { std::cout << "called back with an error\n"; });
  pool.close();
  pool.join();
  try {
    failing.get();
  } catch (const std::invalid_argument& error) {
    std::cout << "the error: " << error.what() << std::endl;
  }
}
