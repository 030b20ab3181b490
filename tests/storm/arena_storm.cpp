// Everything the arena does, at once: objects of all sizes made, shared, adopted and dropped, runs, cargo, members
// that fork members.
//
// Invariants: what an object holds is what its maker wrote, in every process that has it; new memory reads as zeros;
// an id names its object or is refused; and the whole heap agrees with itself (support/arena_check.hpp), in the
// middle of the storm too.
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "memory/arena.hpp"
#include "multiprocessing/errors.hpp"
#include "os/os.hpp"
#include "storm/part.hpp"
#include "support/arena_check.hpp"

namespace multiprocessing::storm {
namespace {

using memory::Kind;
using memory::Ref;
using memory::Word;

constexpr std::size_t carriers = 4;

struct Board {
  std::array<std::atomic<std::uint64_t>, 64> published;  // ids, of objects that may be gone
  std::atomic<std::uint32_t> position{0};                // of cargo
};

struct Stamp {
  std::uint64_t bytes;
  std::uint64_t pattern;
};

bool is_filled(const Ref& object) {
  const auto* stamp = static_cast<const Stamp*>(object.address());
  const auto* words = static_cast<const std::uint64_t*>(object.address());
  for (std::size_t i = 2; i < stamp->bytes / 8; ++i) {
    if (words[i] != stamp->pattern + i) return false;
  }
  return true;
}

bool is_zero(const void* memory, std::size_t bytes) {
  const auto* words = static_cast<const std::uint64_t*>(memory);
  for (std::size_t i = 0; i < bytes / 8; ++i) {
    if (words[i] != 0) return false;
  }
  return true;
}

class Toiler {
 public:
  Toiler(Board& board, const std::array<Ref, carriers>& shared, Worker& me) : board_(board), shared_(shared), me_(me) {}

  void work(int operations) {
    for (int i = 0; i < operations && !me_.over(); ++i) {
      one();
      me_.count();
    }
  }

 private:
  void one() {
    switch (me_.random.below(12)) {
      case 0:
      case 1:
      case 2:
        return make();
      case 3:
      case 4:
        return adopt();
      case 5:
      case 6:
      case 7:
        return drop();
      case 8:
        return run();
      case 9:
        return load();
      case 10:
        return unload();
      default:
        return me_.random.one_in(40) ? fork() : drop();
    }
  }

  std::size_t random_size() {
    const std::uint64_t large = me_.random.one_in(4) ? 100'000 : 2'500;
    return (sizeof(Stamp) + me_.random.below(large)) / 8 * 8;
  }

  void make() {
    const std::size_t bytes = random_size();
    Ref made = Ref::create(Kind::block, bytes);
    if (!is_zero(made.address(), bytes)) me_.violation("a new object is not zero");
    auto* words = static_cast<std::uint64_t*>(made.address());
    const std::uint64_t pattern = me_.random.next();
    for (std::size_t i = 2; i < bytes / 8; ++i) words[i] = pattern + i;
    *static_cast<Stamp*>(made.address()) = {bytes, pattern};
    board_.published[me_.random.below(board_.published.size())].store(made.id());
    mine_.push_back(std::move(made));
    if (mine_.size() > 40) mine_.erase(mine_.begin());
  }

  void adopt() {
    const std::uint64_t id = board_.published[me_.random.below(board_.published.size())].load();
    if (id == 0) return;
    try {
      Ref taken = Ref::adopt(id, Kind::block);
      if (taken.id() != id) me_.violation("adopt() gave another object");
      if (!is_filled(taken)) me_.violation("an adopted object is damaged");
      mine_.push_back(std::move(taken));
    } catch (const TypeMismatch&) {
      me_.violation("an id names an object of another kind");
    } catch (const Error&) {  // it is gone: said so, that is all we ask
    }
  }

  void drop() {
    if (mine_.empty()) return;
    const auto victim = mine_.begin() + static_cast<std::ptrdiff_t>(me_.random.below(mine_.size()));
    if (!is_filled(*victim)) me_.violation("an object is damaged");
    mine_.erase(victim);
  }

  const Ref& carrier() { return shared_[me_.random.below(carriers)]; }

  // Nobody looks into these runs but their owner list: others may give them back at any time.
  void run() {
    const Ref& owner = carrier();
    Word& where = static_cast<Word*>(owner.address())[me_.random.below(4)];
    if (me_.random.one_in(2)) {
      memory::allocate_run(owner, where, 1 + me_.random.below(60'000));
    } else {
      memory::free_run(where);
    }
  }

  void load() {
    if (mine_.empty()) return;
    const std::size_t first = me_.random.below(mine_.size());
    const std::size_t count = std::min<std::size_t>(1 + me_.random.below(3), mine_.size() - first);
    memory::load_cargo(carrier(), std::span(mine_).subspan(first, count), board_.position.fetch_add(1));
  }

  void unload() {
    memory::drop_cargo(carrier(), board_.position.load() - static_cast<std::uint32_t>(me_.random.below(50)));
  }

  // The child may outlive us: then it and its slot are orphans.
  void fork() {
    const memory::Forked child = memory::fork_member();
    if (child.pid == 0) {
      work(20);
      ::_exit(0);
    }
    os::wait_ended(child.pidfd.get(), os::Deadline::never());
    os::Ending ending;
    os::reap(child.pidfd.get(), ending);
    memory::reap_member(child.member);
  }

  Board& board_;
  const std::array<Ref, carriers>& shared_;
  Worker& me_;
  std::vector<Ref> mine_;
};

void check(Report& report, const char* when) {
  const std::string damage = testing::arena_damage();
  if (!damage.empty()) report.violation(std::string(when) + ":" + damage);
}

class ArenaPart final : public Part {
 public:
  explicit ArenaPart(int hands) : hands_(hands) {
    for (Ref& carrier : shared_) carrier = Ref::create(Kind::queue, 4 * sizeof(Word));
  }

  void hire(Crew& crew) override {
    for (int i = 0; i < hands_; ++i) {
      crew.hire([this](Worker& me) {
        Toiler toiler(*board_, shared_, me);
        while (!me.over()) toiler.work(1'000);
      });
    }
  }

  void look(Report& report) override { check(report, "in the storm"); }

  void settle(Report& report) override {
    for (Ref& carrier : shared_) {
      memory::drop_cargo(carrier, board_->position + 1);
      for (int i = 0; i < 4; ++i) memory::free_run(static_cast<Word*>(carrier.address())[i]);
    }
    check(report, "at the end");
  }

 private:
  const int hands_;
  const testing::Shared<Board> board_;
  std::array<Ref, carriers> shared_;
};

}  // namespace

std::unique_ptr<Part> arena_part(int hands) { return std::make_unique<ArenaPart>(hands); }

}  // namespace multiprocessing::storm
