// The interface of manager.hpp and proxies.hpp.
#include "multiprocessing/manager.hpp"

#include <stdexcept>

#include "manager/server_process.hpp"

namespace multiprocessing {

namespace managers {

void throw_full() { throw Full("put: the queue is full"); }
void throw_empty() { throw Empty("get: the queue is empty"); }

namespace {
struct Nothing {};
}  // namespace

NamespaceProxy Factory::name_space(const std::string& name) const {
  return NamespaceProxy(make(Kind::name_space, typeid(Nothing), name));
}
LockProxy Factory::lock(const std::string& name) const { return LockProxy(make(Kind::lock, typeid(Nothing), name)); }
RLockProxy Factory::rlock(const std::string& name) const {
  return RLockProxy(make(Kind::rlock, typeid(Nothing), name));
}
SemaphoreProxy Factory::semaphore(int value, const std::string& name) const {
  return SemaphoreProxy(make(Kind::semaphore, typeid(Nothing), name, std::int64_t{value}));
}
BoundedSemaphoreProxy Factory::bounded_semaphore(int value, const std::string& name) const {
  return BoundedSemaphoreProxy(make(Kind::bounded_semaphore, typeid(Nothing), name, std::int64_t{value}));
}
ConditionProxy Factory::condition(const std::string& name) const {
  return ConditionProxy(make(Kind::condition, typeid(Nothing), name));
}
ConditionProxy Factory::condition(const LockProxy& lock) const {
  return ConditionProxy(make(Kind::condition, typeid(Nothing), "", lock));
}
ConditionProxy Factory::condition(const RLockProxy& lock) const {
  return ConditionProxy(make(Kind::condition, typeid(Nothing), "", lock));
}
EventProxy Factory::event(const std::string& name) const {
  return EventProxy(make(Kind::event, typeid(Nothing), name));
}
BarrierProxy Factory::barrier(int parties, const std::string& name) const {
  return BarrierProxy(make(Kind::barrier, typeid(Nothing), name, std::int64_t{parties}));
}

PoolProxy Factory::pool(int processes) const {
  return PoolProxy(make(Kind::pool, typeid(Nothing), "", std::int64_t{processes}));
}

}  // namespace managers

Manager::Manager(ManagerOptions options)
    : server_(std::make_unique<managers::ServerProcess>(std::move(options))) {
  manager_ = server_->manager();
}
Manager::Manager(Manager&&) noexcept = default;
Manager& Manager::operator=(Manager&&) noexcept = default;
Manager::~Manager() = default;

namespace {
managers::ServerProcess& running(const std::unique_ptr<managers::ServerProcess>& server) {
  if (server == nullptr) throw std::logic_error("this Manager was moved from");
  return *server;
}
}  // namespace

void Manager::shutdown(std::chrono::nanoseconds grace) { running(server_).shutdown(grace); }
const std::string& Manager::address() const { return running(server_).address(); }
pid_t Manager::pid() const { return running(server_).pid(); }

}  // namespace multiprocessing
