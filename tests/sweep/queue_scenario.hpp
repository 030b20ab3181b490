// What the operations of a queue have in common.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "channel/queue_test_support.hpp"
#include "multiprocessing/queue.hpp"
#include "support/shared.hpp"
#include "sweep/helper.hpp"
#include "sweep/sweep.hpp"

namespace multiprocessing::sweep {

using Strings = std::vector<std::string>;

inline Strings items(int first, int last) {
  Strings made;
  for (int i = first; i <= last; ++i) made.push_back(testing::patterned(static_cast<std::uint64_t>(i), 20U + 30U * i));
  return made;
}

inline Strings operator+(Strings left, const Strings& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

inline Strings drained(const Queue<std::string>& queue) {
  Strings got;
  while (auto item = queue.try_get()) got.push_back(std::move(*item));
  return got;
}

// A place outside of what is swept where a process says which item it got.
struct Receipt {
  char text[2'048] = {};
  std::atomic<std::size_t> bytes{0};
  std::atomic<bool> signed_for{false};

  void sign(const std::string& item) {
    item.copy(text, sizeof text);
    bytes = item.size();
    signed_for = true;
  }
  [[nodiscard]] bool is_for(const std::string& item) const { return signed_for && item == std::string(text, bytes); }
};

struct QueueScenario : Scenario {
  Queue<std::string> queue;
  Strings inside;

  explicit QueueScenario(int maxsize = 0, Strings first = {}) : queue(maxsize), inside(std::move(first)) {
    for (const std::string& item : inside) queue.put(item);
  }

  // The next producer and the next consumer, in this order or the other; all that was there, and `late` at the end.
  Strings go_on(const Death& death, const std::string& late) {
    const bool put_first = death.reaped && queue.try_put(late);
    Strings got = drained(queue);
    if (put_first) return got;
    queue.put(late);
    return got + drained(queue);
  }

  void expect_memory_accounted(Check& check) {
    const std::size_t spare = testing::header_of(queue).spare.load() != 0 ? 1 : 0;
    check.that(testing::owned_runs(queue) == testing::chain_length(queue) + spare, "a segment belongs to nobody");
  }
};

}  // namespace multiprocessing::sweep
