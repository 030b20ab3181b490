#include "storm/ledger.hpp"

#include <algorithm>

namespace multiprocessing::storm {
namespace {

std::string text_of(const Name& name) {
  return "item " + std::to_string(name.sequence) + " of producer " + std::to_string(name.producer);
}

}  // namespace

bool Putter::has_room(std::uint64_t items) {
  if (producer_ == Ledger::producers || ledger_.rows[producer_].returned + items > Ledger::items) {
    producer_ = std::min<std::uint64_t>(ledger_.producers_used.fetch_add(1), Ledger::producers);
  }
  return producer_ != Ledger::producers;
}

Name Putter::begin(std::uint64_t count) {
  Ledger::Row& row = ledger_.rows[producer_];
  const std::uint64_t before = row.returned;
  row.begun = before + count;
  return {producer_, before + 1};
}

void Taker::took(const Seen& seen) {
  const Name& name = seen.name;
  if (name.producer >= Ledger::producers || name.sequence == 0 || name.sequence > Ledger::items) {
    return me_.violation("no such item: " + text_of(name) + " " + seen.wrong);
  }
  // Noted first: what happens from here on is no concern of what is tested.
  Ledger::Row& row = ledger_.rows[name.producer];
  const std::uint64_t bit = std::uint64_t{1} << (name.sequence - 1) % 64;
  const bool again = (row.received[(name.sequence - 1) / 64].fetch_or(bit) & bit) != 0;
  std::uint64_t& last = last_[name.producer];
  const bool late = last >= name.sequence;
  last = std::max(last, name.sequence);
  if (repeats_ == Repeats::after_deaths) {
    ledger_.doubled += again ? 1 : 0;
    ledger_.late += late ? 1 : 0;
  } else {
    if (again) me_.violation(text_of(name) + " came twice");
    if (late) me_.violation(text_of(name) + " came late");
  }
  if (name.sequence > row.begun) me_.violation(text_of(name) + " was never put");
  if (!seen.wrong.empty()) me_.violation(text_of(name) + ": " + seen.wrong);
  me_.count();
}

std::uint64_t settle(const Ledger& ledger, const Losses& losses, std::uint64_t takers_killed, Report& report) {
  std::uint64_t lost = 0;
  const std::uint64_t used = std::min<std::uint64_t>(ledger.producers_used, Ledger::producers);
  for (std::uint64_t producer = 0; producer < used; ++producer) {
    const Ledger::Row& row = ledger.rows[producer];
    const std::uint64_t returned = row.returned;
    for (std::uint64_t sequence = 1; sequence <= returned; ++sequence) {
      const bool received = (row.received[(sequence - 1) / 64] >> (sequence - 1) % 64 & 1) != 0;
      if (!received && lost++ == losses.allowed)
        report.violation("one lost too many: " + text_of({producer, sequence}));
    }
    report.tallies["items"] += returned;
  }
  report.tallies[losses.tally] += lost;
  report.tallies["delivered again"] += ledger.doubled;
  if (lost > losses.allowed) {
    report.violation(std::to_string(lost) + " items lost, " + std::to_string(losses.allowed) + " may be");
  }
  if (ledger.doubled > takers_killed || ledger.late > takers_killed) {
    report.violation(std::to_string(ledger.doubled) + " items came twice, " + std::to_string(ledger.late) +
                     " came late, " + std::to_string(takers_killed) + " takers were killed");
  }
  return std::min(lost, losses.allowed);
}

}  // namespace multiprocessing::storm
