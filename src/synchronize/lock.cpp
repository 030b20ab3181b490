#include <new>
#include <stdexcept>

#include "multiprocessing/synchronize.hpp"
#include "sync/owned_lock.hpp"
#include "synchronize/owned.hpp"

namespace multiprocessing {
namespace synchronize {

memory::Ref make_lock(memory::Kind kind) {
  memory::Ref ref = memory::Ref::create(kind, sizeof(sync::OwnedLock));
  new (ref.address()) sync::OwnedLock;
  return ref;
}

void release_held(const memory::Ref& ref, const char* what) {
  sync::OwnedLock& lock = owned(ref);
  if (!lock.is_held_by_caller()) throw std::logic_error(std::string(what) + ": this thread does not hold the lock");
  lock.release();
}

}  // namespace synchronize

using synchronize::owned;

Lock::Lock() : Handle(synchronize::make_lock(memory::Kind::lock)) {}
Lock::Lock(codec::Undecoded) noexcept : Handle(memory::Ref()) {}
bool Lock::acquire_until(detail::Deadline deadline) const { return owned(ref_).acquire(deadline); }
void Lock::release() const { synchronize::release_held(ref_, "Lock::release"); }
bool Lock::owner_died() const noexcept { return owned(ref_).owner_died(); }

RLock::RLock() : Handle(synchronize::make_lock(memory::Kind::rlock)) {}
RLock::RLock(codec::Undecoded) noexcept : Handle(memory::Ref()) {}
bool RLock::acquire_until(detail::Deadline deadline) const { return owned(ref_).acquire_again(deadline); }
void RLock::release() const { synchronize::release_held(ref_, "RLock::release"); }
bool RLock::owner_died() const noexcept { return owned(ref_).owner_died(); }

}  // namespace multiprocessing
