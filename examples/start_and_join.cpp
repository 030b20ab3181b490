// A process starts, and the program goes on at once; join() waits for it.
#include <chrono>
#include <iostream>
#include <multiprocessing/process.hpp>
#include <string>
#include <thread>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

void task(const std::string& name) {
  std::cout << name << " is running" << std::endl;
  std::this_thread::sleep_for(100ms);
  std::cout << name << " is done" << std::endl;
}

int main() {
  mp::Process first(task, "child 1");
  mp::Process second(task, "child 2");
  first.start();  // asks the system for it, and does not wait for it to run
  second.start();
  std::cout << "main goes on" << std::endl;
  first.join();
  second.join();
  std::cout << "exit codes " << *first.exitcode() << " and " << *second.exitcode() << std::endl;
}
