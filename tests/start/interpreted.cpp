// Run by valgrind, which may lack a system call (docs/decisions/0013-valgrind.md): what one process does works, and what
// needs another process works too or says in its error why it does not.
#include <cstdlib>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace mp = multiprocessing;

void check(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "not true: " << what << '\n';
  std::exit(EXIT_FAILURE);
}

void one_process() {
  const mp::Queue<std::string> queue;
  const mp::Lock lock;
  const mp::Array<double> numbers(1000);
  queue.put("item");
  const std::scoped_lock hold(lock);
  numbers[3] = 1.5;
  auto [left, right] = mp::Pipe();
  left.send(std::string("message"));
  check(queue.get() == "item" && numbers[3] == 1.5 && right.recv<std::string>() == "message", "one process works");
}

template <class Work>
void works_or_says_why(const Work& work) {
  try {
    work();
  } catch (const mp::OsError& error) {
    std::cerr << error.what() << '\n';
    check(std::string_view(error.what()).find("valgrind") != std::string_view::npos, "the error says why");
  }
}

int main() {
  one_process();
  for (const auto method : mp::get_all_start_methods()) {
    const auto context = mp::get_context(method);
    works_or_says_why([&] {
      const mp::Queue<int> queue;
      mp::Process child = context.process([](mp::Queue<int> to) { to.put(1); }, queue);
      child.start();
      child.join();
      check(queue.get() == 1, "a process works");
    });
    works_or_says_why([&] {
      mp::Pool pool = context.pool(2);
      check(pool.apply([](int x) { return x + 1; }, 1) == 2, "a pool works");
    });
  }
  works_or_says_why([] {
    const int term = 1;
    check(mp::parallel_map([&](int x) { return x + term; }, std::vector{1, 2}) == std::vector{2, 3},
          "a parallel call works");
  });
  one_process();
  return EXIT_SUCCESS;
}
