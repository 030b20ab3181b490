// A search whose time nobody knows beforehand: each problem has a time limit, and what is not solved by then is given up.
#include <chrono>
#include <iostream>
#include <multiprocessing/pool.hpp>
#include <string>
#include <vector>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

// Which of these numbers add up to exactly `target`?  Looks at all the sets there are.
std::vector<int> subset_of_sum(const std::vector<int>& numbers, long target) {
  for (unsigned long set = 1; set < 1UL << numbers.size(); ++set) {
    long sum = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) sum += (set >> i & 1) != 0 ? numbers[i] : 0;
    if (sum != target) continue;
    std::vector<int> found;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if ((set >> i & 1) != 0) found.push_back(numbers[i]);
    }
    return found;
  }
  return {};
}

int main() {
  struct Problem {
    std::string name;
    std::vector<int> numbers;
    long target;
  };
  const std::vector<Problem> problems = {
      {"easy", {3, 34, 4, 12, 5, 2}, 9},
      {"impossible", {2, 4, 6, 8}, 5},
      {"hopeless", std::vector<int>(60, 2), 119},  // 2^60 sets, and none of them
      {"easy, too", {7, 11, 13}, 31},
  };
  mp::Pool pool(2);
  std::vector<mp::AsyncResult<std::vector<int>>> answers;
  for (const Problem& problem : problems) {
    answers.push_back(pool.apply_async({.timeout = 200ms}, subset_of_sum, problem.numbers, problem.target));
  }
  for (std::size_t i = 0; i < problems.size(); ++i) {
    std::cout << problems[i].name << ':';
    try {
      const std::vector<int> found = answers[i].get();
      for (const int number : found) std::cout << ' ' << number;
      std::cout << (found.empty() ? " there is none" : "") << std::endl;
    } catch (const mp::TaskTimeout&) {
      std::cout << " given up" << std::endl;
    }
  }
}
