// Processes do not share variables: each has its own copy.  What is to be shared says so.
#include <iostream>
#include <multiprocessing/process.hpp>
#include <multiprocessing/sharedctypes.hpp>

namespace mp = multiprocessing;

int main() {
  int plain = 100;
  mp::Value<int> shared(100);

  mp::Process child([&] {
    plain = 0;
    shared.set(0);
    std::cout << "child:  plain " << plain << ", shared " << shared.get() << std::endl;
  });
  child.start();
  child.join();

  std::cout << "parent: plain " << plain << ", shared " << shared.get() << std::endl;
}
