// Part: what some of a crew work on, and what must be true of it.  A storm is one part, or several at once.
//
//   storm_of(settings, report, 500, [](int round) { return Parts{…}; });
//
// A round makes the parts anew, lets their workers be killed so many times, and brings them to their end: what was put
// is taken, nobody hangs, and nothing is left of them.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "storm/crew.hpp"
#include "storm/storm.hpp"

namespace multiprocessing::storm {

class Part {
 public:
  Part() = default;
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  virtual ~Part() = default;

  virtual void hire(Crew& crew) = 0;
  virtual void died(int /*position*/) {}    // of anybody in the crew
  virtual void look(Report& /*report*/) {}  // in the middle of the storm
  // Those who work until over() have ended: lets the others come to their end.
  virtual void close(Report& /*report*/) {}
  virtual void settle(Report& report) = 0;  // all are gone
};

using Parts = std::vector<std::unique_ptr<Part>>;

void storm_of(const Settings& settings, Report& report, std::uint64_t kills_per_round,
              const std::function<Parts(int round)>& make);

enum class Content { items, frames };          // items.hpp
enum class Keeping { once, again, joinable };  // at most once; at least once; a JoinableQueue

struct QueuePlan {
  int maxsize;
  Content content;
  Keeping keeping;
};

// `hands`: how many workers of each kind.
[[nodiscard]] std::unique_ptr<Part> lock_part(int hands);
[[nodiscard]] std::unique_ptr<Part> synchronize_part(int hands);
[[nodiscard]] std::unique_ptr<Part> arena_part(int hands);
[[nodiscard]] std::unique_ptr<Part> queue_part(const QueuePlan& plan, int hands);
[[nodiscard]] std::unique_ptr<Part> connection_part(int hands);

}  // namespace multiprocessing::storm
