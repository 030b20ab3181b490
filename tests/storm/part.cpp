#include "storm/part.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include "storm/surroundings.hpp"

namespace multiprocessing::storm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kills_between_looks = 200;

// False: the storm is over.
bool round(const Settings& settings, Report& report, std::uint64_t kills, Parts parts) {
  Crew crew(settings, report);
  for (const auto& part : parts) part->hire(crew);
  const auto died = [&](int position) {
    for (const auto& part : parts) part->died(position);
  };
  bool more = true;
  for (std::uint64_t done = 0; more && done < kills; done += kills_between_looks) {
    more = crew.storm(std::min(kills_between_looks, kills - done), died);
    for (const auto& part : parts) part->look(report);
  }
  crew.call_it_over();
  for (const auto& part : parts) part->close(report);
  crew.dismiss();
  for (const auto& part : parts) part->settle(report);
  return more;
}

}  // namespace

void storm_of(const Settings& settings, Report& report, std::uint64_t kills_per_round,
              const std::function<Parts(int round)>& make) {
  const auto end = Clock::now() + std::chrono::seconds(settings.seconds);
  bool more = true;
  for (int number = 0; more; ++number) {
    Settings rest = settings;
    rest.seed += report.kills;
    rest.seconds = static_cast<int>(std::chrono::ceil<std::chrono::seconds>(end - Clock::now()).count());
    const std::uint64_t violations = report.violations;
    const Surroundings before(report);
    more = round(rest, report, kills_per_round, make(number)) && Clock::now() < end;
    compare(before, report);
    if (report.violations != violations) {
      report.violation("… all this in round " + std::to_string(number) + ", whose seed is " +
                       std::to_string(rest.seed));
    }
  }
}

}  // namespace multiprocessing::storm
