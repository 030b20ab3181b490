// A program as users write them, that is linked in many ways: its children begin after its static initialisers and instead
// of its main; what its pools' tasks are made of, functions, lambdas and function objects, is found again in them.
#include <cstdlib>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

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

int doubled(int x) { return 2 * x; }

struct Plus {
  int term = 0;
  int operator()(int x) const { return x + term; }
};

void check_pool(mp::StartMethod method) {
  mp::Pool pool = mp::get_context(method).pool(2);
  check(pool.apply(doubled, 21) == 42, "a function is a task");
  check(pool.apply([](const std::string& text) { return text + made_by_initialiser; }, "") == made_by_initialiser,
        "a lambda is a task");
  check(pool.apply(Plus{2}, 40) == 42, "a function object is a task, with its members");
  check(pool.map(doubled, std::vector{1, 2, 3}) == std::vector{2, 4, 6}, "a pool maps");
  try {
    pool.apply([] { throw std::invalid_argument("expected"); });
    check(false, "an exception of a task arrives");
  } catch (const std::invalid_argument& error) {
    check(error.what() == std::string("expected"), "an exception of a task has its text");
  }
}

int main(int argc, char** argv) {
  mp::init(argc, argv);
  in_main = true;
  for (const auto method : mp::get_all_start_methods()) check_pool(method);
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
