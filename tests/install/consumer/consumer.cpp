// A program of a user: knows only what is installed.
#include <multiprocessing/process.hpp>
#include <multiprocessing/queue.hpp>

#include <cstdlib>
#include <iostream>
#include <string>

namespace mp = multiprocessing;

void bake(mp::Queue<std::string> queue) {
  for (int i = 0; i < 3; ++i) queue.put("bun " + std::to_string(i));
}

int main() {
  mp::Queue<std::string> queue;
  mp::Process baker(bake, queue);
  baker.start();
  baker.join();
  queue.close();

  std::string eaten;
  for (const std::string& bun : queue) eaten += bun + ", ";
  if (baker.exitcode() == 0 && eaten == "bun 0, bun 1, bun 2, ") return EXIT_SUCCESS;
  std::cerr << "ate: " << eaten << '\n';
  return EXIT_FAILURE;
}
