#include <multiprocessing/parallel.hpp>
#include <vector>

int main() {
  std::vector<int> numbers{1, 2};
  (void)multiprocessing::parallel_map([](int& n) { return &n; }, numbers);
}
