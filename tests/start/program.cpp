// A program as users write them, that is linked in many ways: its children begin after its static initialisers and instead
// of its main.
#include <cstdlib>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace mp = multiprocessing;

const std::string made_by_initialiser = "made by an initialiser";
bool in_main = false;

void check(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "not true: " << what << '\n';
  std::exit(EXIT_FAILURE);
}

void target(const std::string& text, mp::Queue<std::string> to, mp::Connection end) {
  check(!in_main, "main has not run");
  to.put(text + ", " + made_by_initialiser);
  end.send(std::string(100'000, 'x'));
}

class Subclass : public mp::ProcessOf<Subclass> {
 public:
  Subclass() = default;
  explicit Subclass(int status) : status_(status) {}
  void run() override { std::exit(status_); }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(status_);
  }

 private:
  int status_ = 0;
};

int main(int argc, char** argv) {
  mp::init(argc, argv);
  in_main = true;
  for (const auto method : {mp::StartMethod::spawn, mp::StartMethod::forkserver}) {
    mp::set_start_method(method, {.force = true});
    for (int i = 0; i < 3; ++i) {
      mp::Queue<std::string> queue;
      auto [ours, theirs] = mp::Pipe();
      mp::Process child(target, "text", queue, std::move(theirs));
      child.start();
      check(ours.recv<std::string>() == std::string(100'000, 'x'), "a long message arrives");
      child.join();
      check(child.exitcode() == 0, "the child ends well");
      check(queue.get() == "text, made by an initialiser", "the item is that of the child");
    }
    Subclass subclass(5);
    subclass.start();
    subclass.join();
    check(subclass.exitcode() == 5, "run() of the subclass was run");
    mp::Process failing([] { throw std::runtime_error("expected"); });
    failing.start();
    failing.join();
    check(failing.exitcode() == 1, "an exception is caught");
  }
  return EXIT_SUCCESS;
}
