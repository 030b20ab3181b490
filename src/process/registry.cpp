#include "process/registry.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "multiprocessing/process.hpp"

namespace multiprocessing::process_ {
namespace {

// Constant-initialised, because a function-local static would have a guard that a forked child could find
// taken.
constinit std::atomic<Registry*> instance{nullptr};

}  // namespace

Registry::Registry(const Registry* inherited) noexcept : owner_(::getpid()), inherited_(inherited) {}

Registry& Registry::current() {
  Registry* found = instance.load(std::memory_order_acquire);  // sync(registry-made)
  while (found == nullptr || found->owner_ != ::getpid()) {
    std::unique_ptr<Registry> fresh(new Registry(found));
    if (instance.compare_exchange_strong(found, fresh.get(), std::memory_order_acq_rel)) found = fresh.release();
  }
  return *found;
}

void Registry::finish_current() noexcept {
  Registry* const found = instance.load(std::memory_order_acquire);  // sync(registry-made)
  if (found != nullptr && found->owner_ == ::getpid()) found->finish();
}

void Registry::add(Node&& child) noexcept {
  const std::lock_guard lock(mutex_);
  // Two children cannot have one descriptor: the earlier one's was closed by the program.
  for (const auto& other : children_) other->forget_pidfd_if(child.front()->pidfd_number());
  children_.splice(children_.end(), child);
}

void Registry::forget(const Child& child) noexcept {
  std::shared_ptr<Child> last;  // destroyed after the lock is released
  const std::lock_guard lock(mutex_);
  for (auto at = children_.begin(); at != children_.end(); ++at) {
    if (at->get() != &child) continue;
    last = std::move(*at);
    children_.erase(at);
    return;
  }
}

void Registry::reap_ended() {
  const std::lock_guard lock(mutex_);
  children_.remove_if([](const auto& child) { return child->has_ended(); });
}

std::vector<std::shared_ptr<Child>> Registry::alive() {
  reap_ended();
  const std::lock_guard lock(mutex_);
  return {children_.begin(), children_.end()};
}

std::shared_ptr<Child> Registry::any() {
  const std::lock_guard lock(mutex_);
  return children_.empty() ? nullptr : children_.front();
}

namespace {

// What fails for one child (no permission to signal it, no descriptor left) must not cost the others their
// end.
template <class F>
bool attempt(F f) noexcept {
  try {
    f();
    return true;
  } catch (...) {
    return false;
  }
}

void end_daemons(const std::vector<std::shared_ptr<Child>>& children) noexcept {
  const auto for_each_daemon = [&children](auto f) {
    for (const auto& child : children) {
      if (child->daemon()) attempt([&] { f(*child); });
    }
  };
  for_each_daemon([](Child& child) { child.signal(SIGTERM); });
  const auto patience = Deadline::after(daemon_grace);
  for_each_daemon([patience](Child& child) {
    if (!child.join(patience)) child.kill();
  });
}

}  // namespace

void Registry::finish() noexcept {
  attempt([this] { end_daemons(alive()); });
  while (const auto child = any()) {
    const bool joined = attempt([&child] { child->join(Deadline::never()); });
    if (!joined) forget(*child);  // it cannot be waited for: nothing is gained by staying
  }
}

}  // namespace multiprocessing::process_
