// What becomes of a child when the program ends.
//
//   daemons child    main waits for an ordinary child
//   daemons daemon   a daemon is ended with main
//   daemons joined   … unless main joins it
#include <chrono>
#include <iostream>
#include <multiprocessing/process.hpp>
#include <string>
#include <thread>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

void work(std::chrono::milliseconds time) {
  std::cout << "the child works" << std::endl;
  std::this_thread::sleep_for(time);
  std::cout << "the child is done" << std::endl;
}

int main(int argc, char** argv) {
  const std::string variant = argc > 1 ? argv[1] : "child";
  const bool daemon = variant != "child";
  mp::Process child({.daemon = daemon}, work, variant == "daemon" ? 1h : 50ms);
  child.start();
  if (variant == "joined") child.join();
  std::cout << "main is done" << std::endl;
}
