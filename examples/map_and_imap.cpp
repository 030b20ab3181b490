// map() gives all results; imap() one by one, in order, as they come; imap_unordered() as they are finished.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <multiprocessing/pool.hpp>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

int square(int x) {
  std::this_thread::sleep_for(x % 3 * 1ms);
  return x * x;
}
int add(int a, int b) { return a + b; }

void print(const std::string& what, const std::vector<int>& numbers) {
  std::cout << what << ':';
  for (const int number : numbers) std::cout << ' ' << number;
  std::cout << std::endl;
}

int main() {
  mp::Pool pool(3);
  const std::vector<int> numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  print("map", pool.map(square, numbers));
  print("map, chunks of 4", pool.map(square, numbers, {.chunksize = 4}));
  print("map_async", pool.map_async(square, numbers).get());
  print("starmap", pool.starmap(add, std::vector<std::tuple<int, int>>{{1, 2}, {3, 4}}));

  std::vector<int> seen;
  for (const int result : pool.imap(square, numbers, {.chunksize = 2})) seen.push_back(result);
  print("imap", seen);

  seen.clear();
  for (const int result : pool.imap_unordered(square, numbers)) seen.push_back(result);
  std::sort(seen.begin(), seen.end());
  print("imap_unordered, sorted", seen);
}
