// What the kinds of objects that begin with an OwnedLock have in common (memory::begins_with_a_lock).
#pragma once

#include "multiprocessing/detail/ref.hpp"
#include "sync/owned_lock.hpp"

namespace multiprocessing::synchronize {

[[nodiscard]] inline sync::OwnedLock& owned(const memory::Ref& ref) noexcept {
  return *static_cast<sync::OwnedLock*>(ref.address());
}
[[nodiscard]] memory::Ref make_lock(memory::Kind kind);
// Throws std::logic_error when the calling thread does not hold it.
void release_held(const memory::Ref& ref, const char* what);

}  // namespace multiprocessing::synchronize
