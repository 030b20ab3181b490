#include <multiprocessing/multiprocessing.hpp>
#include <iostream>
#include <vector>
namespace mp = multiprocessing;

int parse(int file) {
  if (file == 3) *static_cast<volatile int*>(nullptr) = 0;   // a bug, a hostile file, a bad library …
  return file * 10;
}

int main() {
  mp::Pool pool(4);
  std::vector<mp::AsyncResult<int>> results;
  for (int file = 0; file < 6; ++file) results.push_back(pool.apply_async(parse, file));
  for (auto& result : results) {
    try {
      std::cout << result.get() << '\n';
    } catch (const mp::WorkerDied& death) {
      std::cout << death.what() << '\n';                     // … costs this task, and nothing else
    }
  }
}
