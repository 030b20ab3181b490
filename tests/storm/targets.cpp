// Which parts each target has.
#include <array>

#include "storm/part.hpp"

namespace multiprocessing::storm {
namespace {

constexpr std::uint64_t one_round = ~std::uint64_t{0};  // of as many kills as there are

void lock_storm(const Settings& settings, Report& report) {
  storm_of(settings, report, one_round, [](int) {
    Parts parts;
    parts.push_back(lock_part(6));
    return parts;
  });
}

void synchronize_storm(const Settings& settings, Report& report) {
  storm_of(settings, report, one_round, [](int) {
    Parts parts;
    parts.push_back(synchronize_part(5));
    return parts;
  });
}

void arena_storm(const Settings& settings, Report& report) {
  storm_of(settings, report, one_round, [](int) {
    Parts parts;
    parts.push_back(arena_part(5));
    return parts;
  });
}

constexpr std::array delivered_once{
    QueuePlan{0, Content::items, Keeping::once},
    QueuePlan{5, Content::items, Keeping::once},
    QueuePlan{1'000, Content::items, Keeping::once},
};
constexpr std::array without_copying{
    QueuePlan{8, Content::frames, Keeping::once},
    QueuePlan{0, Content::frames, Keeping::once},
};
constexpr std::array nothing_lost{
    QueuePlan{50, Content::items, Keeping::again},
    QueuePlan{100, Content::items, Keeping::joinable},
    QueuePlan{8, Content::frames, Keeping::again},
    QueuePlan{8, Content::frames, Keeping::joinable},
};

template <std::size_t count>
std::unique_ptr<Part> next_of(const std::array<QueuePlan, count>& plans, int round, int hands) {
  return queue_part(plans[static_cast<std::size_t>(round) % count], hands);
}

void queue_storm(const Settings& settings, Report& report) {
  storm_of(settings, report, 150, [](int round) {
    Parts parts;
    switch (round % 3) {
      case 0:
        parts.push_back(next_of(delivered_once, round / 3, 3));
        break;
      case 1:
        parts.push_back(next_of(nothing_lost, round / 3, 3));
        break;
      default:
        parts.push_back(next_of(without_copying, round / 3, 3));
    }
    return parts;
  });
}

void connection_storm(const Settings& settings, Report& report) {
  storm_of(settings, report, 200, [](int) {
    Parts parts;
    parts.push_back(connection_part(3));
    return parts;
  });
}

// Everything in one family.
void mixed_storm(const Settings& settings, Report& report) {
  storm_of(settings, report, 1'000, [](int round) {
    Parts parts;
    parts.push_back(lock_part(2));
    parts.push_back(synchronize_part(2));
    parts.push_back(arena_part(2));
    parts.push_back(next_of(delivered_once, round, 2));
    parts.push_back(next_of(without_copying, round, 2));
    parts.push_back(next_of(nothing_lost, round, 2));
    parts.push_back(connection_part(2));
    return parts;
  });
}

constexpr std::array all_targets{
    Target{"lock", "the robust lock and the event count", lock_storm},
    Target{"synchronize", "Lock, RLock, Semaphore, Condition, Event, Barrier, Value", synchronize_storm},
    Target{"arena", "objects, runs and cargo of the arena, members that fork", arena_storm},
    Target{"queue", "Queue by put, get, loan and view; at least once; JoinableQueue", queue_storm},
    Target{"pool", "Pool and its workers", pool_storm},
    Target{"retries", "a Pool whose tasks are tried again: each has its result", retries_storm},
    Target{"connection", "Pipe, wait, connections and descriptors as messages", connection_storm},
    Target{"mix", "all of these but the pools, in one family", mixed_storm},
};

}  // namespace

std::span<const Target> targets() { return all_targets; }

}  // namespace multiprocessing::storm
