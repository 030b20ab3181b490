// The first program: the child outlives main, and the program waits for it.
#include <chrono>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <string>
#include <thread>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

void task(std::string name) {
  std::cout << name << " is running\n";
  std::this_thread::sleep_for(1s);
  std::cout << name << " is done\n";
}

int main() {
  mp::Process p(task, "child 1");
  p.start();
  std::cout << "main\n" << std::flush;
}
