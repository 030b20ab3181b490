// The semaphore.
//
//   value = base - sum of the members' `taken`      taken: units that a member has acquired and not released; may be < 0
//
// Invariants
//   1. Under the inner lock.  A member's `taken` is changed by that member; of a dead one, by whoever finds it.
//   2. acquire and release commit by the one store of `taken`; `value` is a mirror, computed anew after a dead owner.
//   3. Folding (a member's `taken` becomes part of `base`, or is forgotten) writes the new base down first, so that it can
//      be done again from anywhere: fold != 0 means it is under way.
// Without `recover` there are no members' records, and `value` itself is the truth.
//
//  died …                                    what the others see
//  in acquire, before `taken` is stored       nothing was acquired
//  after it, before `value`                   acquired; the next owner of the lock sets `value` right; the unit comes back
//                                             when the death is noticed
//  holding a unit, anywhere                   who waits for a unit looks, before each sleep, who of the takers is gone
//  in release, the same two                   not released / released
//  in a fold, before `fold` is stored         a dead member as before: folded by the next who looks
//  after it                                   finished by the next owner of the lock
//  an orderly end (leave)                     its `taken` is folded into base: what it has taken stays taken, as in Python
#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <span>
#include <stdexcept>

#include "multiprocessing/synchronize.hpp"
#include "os/faults.hpp"
#include "os/programs.hpp"
#include "sync/event_count.hpp"
#include "synchronize/exclusive.hpp"
#include "synchronize/leave.hpp"
#include "synchronize/slots.hpp"
#include "synchronize/this_member.hpp"

namespace multiprocessing {
namespace {

using memory::Word;
using synchronize::Exclusive;
using synchronize::this_member;
using Signed = std::atomic<std::int64_t>;

struct Share {
  Word member;  // its name + 1; 0: free
  Signed taken;
};

struct SemaphoreState {
  sync::RobustLock lock;
  Signed base{0};
  Signed value{0};
  Word shares{0};
  Word fold{0};  // offset of the share that is being folded
  Signed folded_base{0};
  std::int32_t bound = 0;  // release() beyond it is refused
  std::uint32_t recover = 0;
  sync::EventCount available;
};

// This process has shares to fold when it leaves.  A child of a fork begins without.
std::atomic<bool> has_shares{false};
[[maybe_unused]] const int registered =
    os::at_fork(nullptr, nullptr, [] { has_shares.store(false, std::memory_order_relaxed); });

SemaphoreState& state_of(const memory::Ref& ref) { return *static_cast<SemaphoreState*>(ref.address()); }

std::int64_t read(const Signed& word) { return word.load(std::memory_order_relaxed); }
void write(Signed& word, std::int64_t value) { word.store(value, std::memory_order_relaxed); }
std::uint64_t read(const Word& word) { return word.load(std::memory_order_relaxed); }

// The semaphore, while the inner lock is held.
class Locked {
 public:
  explicit Locked(const memory::Ref& ref)
      : state_(state_of(ref)), exclusive_(state_.lock), shares_(ref, state_.shares) {
    if (exclusive_.from_dead_owner()) repair();
  }

  bool acquire() {
    if (read(state_.value) <= 0) return false;
    add(1);
    return true;
  }

  // False: it has as many units as it may have.
  bool release() {
    if (read(state_.value) >= state_.bound) return false;
    add(-1);
    return true;
  }

  // The dead give back what they had taken; what they have put in stays in.
  template <class IsGone>
  void recover(IsGone is_gone) {
    if (state_.recover == 0) return;
    shares_.for_each([&](Share& share) {
      if (read(share.member) != 0 && is_gone(read(share.member) - 1)) {
        fold(share, read(share.taken) > 0 ? read(state_.base) : read(state_.base) - read(share.taken));
      }
    });
  }

  // An orderly end: what this member has taken stays taken.
  void leave(std::uint64_t member) {
    if (Share* const share = shares_.find([&](const Share& s) { return read(s.member) == member + 1; })) {
      fold(*share, read(state_.base) - read(share->taken));
    }
  }

  // Members that hold units, at most so many; to be looked at without the lock.
  std::size_t holders(std::span<std::uint64_t> names) {
    std::size_t count = 0;
    shares_.for_each([&](const Share& share) {
      if (read(share.member) != 0 && read(share.taken) > 0 && count < names.size()) {
        names[count++] = read(share.member) - 1;
      }
    });
    return count;
  }

 private:
  void add(std::int64_t units) {
    if (state_.recover != 0) {
      Share& mine = share_of_this_process();
      write(mine.taken, read(mine.taken) + units);
      MULTIPROCESSING_STEP("semaphore.taken");
    }
    write(state_.value, read(state_.value) - units);
    MULTIPROCESSING_STEP("semaphore.mirrored");
  }

  Share& share_of_this_process() {
    const std::uint64_t me = this_member() + 1;
    if (Share* const mine = shares_.find([&](const Share& s) { return read(s.member) == me; })) return *mine;
    Share& fresh = shares_.find_or_grow([](const Share& s) { return read(s.member) == 0; });
    has_shares.store(true, std::memory_order_relaxed);
    write(fresh.taken, 0);
    fresh.member.store(me, std::memory_order_relaxed);
    return fresh;
  }

  void fold(Share& share, std::int64_t new_base) {
    write(state_.folded_base, new_base);
    MULTIPROCESSING_STEP("semaphore.fold_planned");
    state_.fold.store(memory::Arena::get().offset_of(&share), std::memory_order_relaxed);
    MULTIPROCESSING_STEP("semaphore.fold_begun");
    finish_fold();
    count();
  }

  void finish_fold() {
    auto& share = *static_cast<Share*>(memory::Arena::get().at(read(state_.fold), sizeof(Share)));
    write(state_.base, read(state_.folded_base));
    MULTIPROCESSING_STEP("semaphore.fold_base");
    write(share.taken, 0);
    share.member.store(0, std::memory_order_relaxed);
    MULTIPROCESSING_STEP("semaphore.fold_cleared");
    state_.fold.store(0, std::memory_order_relaxed);
  }

  void repair() {
    if (state_.recover == 0) return;
    if (read(state_.fold) != 0) finish_fold();
    count();
  }

  void count() {
    std::int64_t value = read(state_.base);
    shares_.for_each([&](const Share& share) { value -= read(share.member) != 0 ? read(share.taken) : 0; });
    write(state_.value, value);
  }

  SemaphoreState& state_;
  Exclusive exclusive_;
  synchronize::Slots<Share> shares_;
};

// Takes back what dead processes had, however they are known to be dead.
void recover_from_the_dead(const memory::Ref& ref) {
  if (state_of(ref).recover == 0) return;
  std::array<std::uint64_t, 256> names;
  const std::size_t count = Locked(ref).holders(names);
  std::size_t gone = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (memory::is_gone(names[i])) names[gone++] = names[i];
  }
  if (gone == 0) return;
  const auto dead = std::span(names).first(gone);
  Locked(ref).recover([&](std::uint64_t name) { return std::ranges::find(dead, name) != dead.end(); });
  state_of(ref).available.notify();
}

}  // namespace

namespace synchronize {

void leave() noexcept {
  if (!has_shares.load(std::memory_order_relaxed)) return;
  try {
    for (const memory::Ref& semaphore : memory::objects_of(memory::Kind::semaphore)) {
      if (read(state_of(semaphore).shares) == 0) continue;  // nobody has a share, or it is being made just now
      Locked(semaphore).leave(this_member());
    }
  } catch (const std::exception&) {  // no memory: as if it had been killed
  }
}

}  // namespace synchronize

Semaphore::Semaphore(SemaphoreOptions options, bool bounded)
    : Handle(memory::Ref::create(memory::Kind::semaphore, sizeof(SemaphoreState))) {
  if (options.value < 0) throw std::invalid_argument("Semaphore: the initial value is not negative");
  auto& state = *new (ref_.address()) SemaphoreState;
  write(state.base, options.value);
  write(state.value, options.value);
  state.bound = bounded ? options.value : std::numeric_limits<std::int32_t>::max();
  state.recover = options.recover ? 1 : 0;
}

Semaphore::Semaphore(codec::Undecoded) noexcept : Handle(memory::Ref()) {}
BoundedSemaphore::BoundedSemaphore(codec::Undecoded undecoded) noexcept : Semaphore(undecoded) {}

bool Semaphore::acquire_until(detail::Deadline deadline) const {
  SemaphoreState& state = state_of(ref_);
  if (Locked(ref_).acquire()) return true;
  if (deadline.is_over()) {
    Locked locked(ref_);
    locked.recover(&memory::was_reaped);
    return locked.acquire();
  }
  for (sync::Spin spin; spin.again();) {
    if (read(state.value) > 0 && Locked(ref_).acquire()) {
      spin.paid_off();
      return true;
    }
  }
  for (sync::Naps naps;;) {
    recover_from_the_dead(ref_);
    const auto ticket = state.available.prepare();
    if (Locked(ref_).acquire()) return true;
    if (deadline.is_over()) return false;
    state.available.wait(ticket, deadline, naps.next());
  }
}

void Semaphore::release() const {
  const bool released = Locked(ref_).release();
  if (!released) throw std::invalid_argument("semaphore released too many times");
  state_of(ref_).available.notify_after_release();
}

int Semaphore::get_value() const {
  Locked(ref_).recover(&memory::was_reaped);
  return static_cast<int>(std::max<std::int64_t>(read(state_of(ref_).value), 0));
}

}  // namespace multiprocessing
