// A process as a class: its constructor runs in the parent, run() in the child.
#include <unistd.h>

#include <iostream>
#include <multiprocessing/process.hpp>
#include <string>
#include <utility>

namespace mp = multiprocessing;

class Greeter : public mp::Process {
 public:
  explicit Greeter(std::string whom) : whom_(std::move(whom)), made_in_(::getpid()) {}

  void run() override {
    const bool elsewhere = ::getpid() != made_in_;
    std::cout << name() << " greets " << whom_ << (elsewhere ? " from a process of its own" : " from here")
              << std::endl;
  }

 private:
  std::string whom_;
  pid_t made_in_;
};

int main() {
  Greeter ada("Ada");
  Greeter bob("Bob");
  ada.start();
  ada.join();
  bob.set_name("Greeter of Bob");
  bob.start();
  bob.join();
}
