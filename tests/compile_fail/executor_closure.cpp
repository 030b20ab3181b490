#include <multiprocessing/executor.hpp>

int main() {
  multiprocessing::Executor executor(1);
  int offset = 1;
  executor.submit([&offset](int x) { return x + offset; }, 1);
}
