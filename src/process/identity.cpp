#include "process/identity.hpp"

#include <utility>

#include "base/log.hpp"

namespace multiprocessing::process_ {
namespace {

// Never destroyed: threads and exit handlers ask for it to the last.  Constant-initialised, because the guard
// of a function-local static could be found taken by a forked child.
constinit std::atomic<Identity*> instance{nullptr};

}  // namespace

Identity& identity() {
  Identity* found = instance.load(std::memory_order_acquire);  // sync(identity-made)
  if (found == nullptr) {
    auto fresh = std::make_unique<Identity>();
    if (instance.compare_exchange_strong(found, fresh.get(), std::memory_order_acq_rel)) found = fresh.release();
  }
  return *found;
}

void set_identity(std::unique_ptr<Identity> identity) noexcept {
  base::set_log_name(identity->name.c_str());
  instance.store(identity.release(), std::memory_order_release);  // sync(identity-made)
}

std::string next_path() {
  Identity& me = identity();
  const std::string number = std::to_string(me.made.fetch_add(1, std::memory_order_relaxed) + 1);
  return me.path.empty() ? number : me.path + ':' + number;
}

}  // namespace multiprocessing::process_
