// Ledger: what was put and what was received, in memory of its own, outside of what is tested.
//
// Every process that puts is a producer of its own, with a row.  Each item has a name: its producer and its number there,
// from 1.  A process notes that it is about to put, puts, and notes that put() has returned; whoever takes an item
// notes it at once.  What must be true:
//   none lost      an item whose put() had returned is received, but for one at most per taker killed (the one that it
//                  had taken and not yet noted); where nothing may be lost, all are but those given up by name
//   none invented  what is received was at least begun to be put
//   none doubled   and each taker sees the items of a producer in order; where items are delivered again, at most one
//                  per taker killed is doubled or late
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "storm/crew.hpp"

namespace multiprocessing::storm {

struct Name {
  std::uint64_t producer = 0;
  std::uint64_t sequence = 0;
};

struct Ledger {
  static constexpr std::size_t producers = 4'096;
  static constexpr std::size_t items = 1 << 16;  // of a producer

  struct Row {
    std::atomic<std::uint64_t> begun{0};     // items 1 … begun may have been put
    std::atomic<std::uint64_t> returned{0};  // items 1 … returned have been put
    std::array<std::atomic<std::uint64_t>, items / 64> received;
  };

  std::atomic<std::uint64_t> producers_used{0};
  std::atomic<std::uint64_t> doubled{0};
  std::atomic<std::uint64_t> late{0};
  std::array<Row, producers> rows;
};

// One process that puts.
class Putter {
 public:
  explicit Putter(Ledger& ledger) : ledger_(ledger) {}
  // False: the ledger is full.
  [[nodiscard]] bool has_room(std::uint64_t items);
  // The first of so many items that are about to be put.
  [[nodiscard]] Name begin(std::uint64_t count = 1);
  void returned(std::uint64_t count = 1) { ledger_.rows[producer_].returned += count; }

 private:
  Ledger& ledger_;
  std::uint64_t producer_ = Ledger::producers;
};

// What somebody has received.
struct Seen {
  Name name;
  std::string wrong;  // empty: it is what was put
};

enum class Repeats { never, after_deaths };

// One process that takes.
class Taker {
 public:
  Taker(Ledger& ledger, Worker& me, Repeats repeats = Repeats::never) : ledger_(ledger), me_(me), repeats_(repeats) {}
  void took(const Seen& seen);

 private:
  Ledger& ledger_;
  Worker& me_;
  Repeats repeats_;
  std::map<std::uint64_t, std::uint64_t> last_;
};

struct Losses {
  std::uint64_t allowed;
  const char* tally;  // what they are called
};
// How many were lost, `allowed` at the most.
std::uint64_t settle(const Ledger& ledger, const Losses& losses, std::uint64_t takers_killed, Report& report);

}  // namespace multiprocessing::storm
