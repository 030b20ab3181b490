// The kill test, the same for every transport: producers and consumers hammer one queue, somebody of them is killed by
// SIGKILL every millisecond or so, and replaced at once.
//
// A transport is made before the fork and gives each process its end:
//
//   struct Transport {
//     using Child = ForkedChild;                 // or another way to start its processes
//     explicit Transport(std::size_t depth);
//     auto sender();                             // .send(const Item&), blocks while there is no room
//     auto receiver(std::size_t position);       // .receive(Item&), blocks while there is nothing
//   };
//
// Each process writes down what it has done in memory outside of what is tested.  One run ends as
//   survived   as many kills as asked, then producers end and consumers drain
//   wedged     nothing was received for `patience` seconds, while nobody was killed any more
//   damaged    an item that nobody has sent, or whose checksum is wrong
//   crashed    a process ended by itself
// Lost is an item whose send() had returned and that nobody received.  A consumer that is killed after it took an item
// and before it wrote that down looks the same: so up to one item per killed consumer is no loss of the transport.
// One seed decides victims, gaps and data; what the scheduler adds cannot be replayed.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <vector>

#include "harness/arguments.hpp"
#include "harness/sample.hpp"

namespace bench {

// splitmix64
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_{seed} {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30U) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27U) * 0x94d049bb133111ebU;
    return z ^ z >> 31U;
  }
  std::uint64_t below(std::uint64_t end) { return next() % end; }

 private:
  std::uint64_t state_;
};

struct Item {
  std::uint64_t producer = 0;
  std::uint64_t sequence = 0;  // from 1
  std::array<std::uint64_t, 5> payload{};
  std::uint64_t checksum = 0;

  static Item make(std::uint64_t producer, std::uint64_t sequence) {
    Item item{.producer = producer, .sequence = sequence};
    Random random{producer << 32U ^ sequence};
    for (std::uint64_t& word : item.payload) item.checksum += word = random.next();
    return item;
  }
  bool operator==(const Item&) const = default;
};

// What the processes have done.  Each that starts as a producer is a new producer.
class Ledger {
 public:
  static constexpr std::uint64_t kProducers = 1U << 14U;
  static constexpr std::uint64_t kItems = 1U << 18U;  // of one of them

  struct Record {
    std::atomic<std::uint64_t> begun;
    std::atomic<std::uint64_t> returned;
    std::array<std::atomic<std::uint64_t>, kItems / 64> received;
  };

  std::atomic<std::uint64_t> producers;
  std::atomic<std::uint64_t> received;
  std::atomic<std::uint64_t> doubled;
  std::atomic<std::uint64_t> damaged;
  std::atomic<bool> enough;
  std::array<Record, kProducers> records;

  void take(const Item& item) {
    if (item.producer >= kProducers || item.sequence == 0 || item.sequence > records[item.producer].begun ||
        item != Item::make(item.producer, item.sequence)) {
      ++damaged;
      return;
    }
    auto& word = records[item.producer].received[(item.sequence - 1) / 64];
    const std::uint64_t bit = std::uint64_t{1} << (item.sequence - 1) % 64;
    if ((word.fetch_or(bit) & bit) != 0) ++doubled;
    ++received;
  }

  std::uint64_t lost() const {
    std::uint64_t lost = 0;
    for (std::uint64_t producer = 0; producer < std::min<std::uint64_t>(producers, kProducers); ++producer) {
      const Record& record = records[producer];
      for (std::uint64_t sequence = 1; sequence <= record.returned; ++sequence)
        lost += (record.received[(sequence - 1) / 64] >> (sequence - 1) % 64 & 1U) == 0;
    }
    return lost;
  }
};

// Shared with children, sparse.
class SharedLedger {
 public:
  SharedLedger() {
    void* memory =
        ::mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    ledger_ = static_cast<Ledger*>(memory);  // zeros are a ledger
  }
  ~SharedLedger() { ::munmap(static_cast<void*>(ledger_), sizeof(Ledger)); }
  SharedLedger(const SharedLedger&) = delete;
  SharedLedger& operator=(const SharedLedger&) = delete;
  Ledger* operator->() const { return ledger_; }
  Ledger& operator*() const { return *ledger_; }

 private:
  Ledger* ledger_;
};

class ForkedChild {
 public:
  template <class Body>
  explicit ForkedChild(Body body) {
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it died before the line above
    body();
    ::_exit(0);
  }
  ForkedChild(const ForkedChild&) = delete;
  ForkedChild& operator=(const ForkedChild&) = delete;
  ~ForkedChild() { static_cast<void>(end()); }

  // Kills it, and returns how it ended: an exit code, or -signal.
  int end() {
    if (!status_) {
      ::kill(pid_, SIGKILL);
      wait(0);
    }
    return *status_;
  }
  // The same where it ended by itself.
  std::optional<int> ended() {
    if (!status_) wait(WNOHANG);
    return status_;
  }

 private:
  void wait(int flags) {
    int status = 0;
    pid_t got = 0;
    while ((got = ::waitpid(pid_, &status, flags)) < 0 && errno == EINTR) {
    }
    if (got != 0) status_ = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }

  pid_t pid_ = 0;
  std::optional<int> status_;
};

struct KillSettings {
  std::size_t kills = 0;
  std::uint64_t seed = 0;
  std::int64_t patience_ns = 0;
  std::size_t producers = 3;
  std::size_t consumers = 3;
  std::size_t depth = 1024;
};

struct KillResult {
  const char* outcome = "survived";
  std::uint64_t kills = 0;
  std::uint64_t consumers_killed = 0;
  std::uint64_t received = 0;
  std::uint64_t lost = 0;
  std::uint64_t doubled = 0;
};

inline void pause_for(std::int64_t nanoseconds) {
  const timespec time{nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
  ::nanosleep(&time, nullptr);
}

template <class Transport>
class KillStorm {
 public:
  explicit KillStorm(const KillSettings& settings)
      : settings_{settings}, random_{settings.seed}, transport_{settings.depth} {
    team_.resize(settings.producers + settings.consumers);
    for (std::size_t i = 0; i < team_.size(); ++i) start(i);
  }

  KillResult run() {
    while (result_.kills < settings_.kills && is_well()) {
      if (is_moving()) kill_one();
      pause_for(static_cast<std::int64_t>(random_.below(random_.below(8) == 0 ? 8'000'000 : 800'000)));
    }
    if (is_well()) drain();
    team_.clear();
    result_.received = ledger_->received;
    result_.lost = ledger_->lost();
    result_.doubled = ledger_->doubled;
    return result_;
  }

 private:
  using Child = typename Transport::Child;
  static constexpr std::int64_t kUneasy = 100'000'000;  // so long without an item, and nobody is killed any more
  static constexpr std::int64_t kDry = 500'000'000;

  bool is_producer(std::size_t position) const { return position < settings_.producers; }

  void start(std::size_t position) {
    team_[position] = std::make_unique<Child>([this, position] {
      try {
        is_producer(position) ? produce() : consume(position - settings_.producers);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        ::_exit(1);
      }
    });
  }

  void produce() {
    auto sender = transport_.sender();
    while (!ledger_->enough) {
      const std::uint64_t producer = ledger_->producers.fetch_add(1);
      if (producer >= Ledger::kProducers) throw std::runtime_error("the ledger is full");
      Ledger::Record& record = ledger_->records[producer];
      for (std::uint64_t sequence = 1; sequence <= Ledger::kItems && !ledger_->enough; ++sequence) {
        const Item item = Item::make(producer, sequence);
        record.begun = sequence;
        sender.send(item);
        record.returned = sequence;
      }
    }
    // Its end takes nothing with it: what it has sent is on its way until the drain is over.
    for (;;) ::pause();
  }

  void consume(std::size_t position) {
    auto receiver = transport_.receiver(position);
    for (;;) {
      Item item;
      receiver.receive(item);
      ledger_->take(item);
    }
  }

  void kill_one() {
    const std::size_t victim = random_.below(team_.size());
    if (const int status = team_[victim]->end(); status != -SIGKILL) return finish("crashed");
    ++result_.kills;
    result_.consumers_killed += !is_producer(victim);
    start(victim);
  }

  void finish(const char* outcome) {
    if (!is_over_) result_.outcome = outcome;
    is_over_ = true;
  }

  // Looks for progress; false: it is over.
  bool is_well() {
    const std::int64_t now = now_ns();
    const std::uint64_t received = ledger_->received;
    if (received != seen_received_ || seen_at_ == 0) {
      seen_received_ = received;
      seen_at_ = now;
    }
    if (ledger_->damaged != 0) finish("damaged");
    for (auto& child : team_)
      if (child->ended().value_or(-SIGKILL) != -SIGKILL) finish("crashed");
    if (now - seen_at_ > settings_.patience_ns) finish("wedged");
    return !is_over_;
  }
  bool is_moving() const { return now_ns() - seen_at_ < kUneasy; }

  // Nobody dies any more: an item must still come, and then all that there are.
  void drain() {
    const std::uint64_t before = ledger_->received;
    while (ledger_->received == before && is_well()) pause_for(1'000'000);
    ledger_->enough = true;
    while (is_well() && now_ns() - seen_at_ < std::min(kDry, settings_.patience_ns / 2)) pause_for(1'000'000);
  }

  KillSettings settings_;
  Random random_;
  SharedLedger ledger_;
  Transport transport_;
  std::vector<std::unique_ptr<Child>> team_;
  KillResult result_;
  bool is_over_ = false;
  std::uint64_t seen_received_ = 0;
  std::int64_t seen_at_ = 0;
};

template <class Transport>
int kill_main(int argc, char** argv) {
  try {
    const Arguments arguments{argc, argv};
    const KillSettings settings{
        .kills = arguments.number("kills", 1'000),
        .seed = arguments.number("seed", 1),
        .patience_ns = static_cast<std::int64_t>(arguments.number("patience", 5)) * 1'000'000'000,
    };
    const KillResult result = KillStorm<Transport>{settings}.run();
    std::printf("outcome=%s kills=%llu consumers_killed=%llu received=%llu lost=%llu doubled=%llu\n", result.outcome,
                static_cast<unsigned long long>(result.kills), static_cast<unsigned long long>(result.consumers_killed),
                static_cast<unsigned long long>(result.received), static_cast<unsigned long long>(result.lost),
                static_cast<unsigned long long>(result.doubled));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kill test failed: %s\n", error.what());
    return 1;
  }
}

}  // namespace bench
