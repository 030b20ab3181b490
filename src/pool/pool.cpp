#include "multiprocessing/pool.hpp"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "multiprocessing/context.hpp"
#include "multiprocessing/process.hpp"
#include "pool/core.hpp"

namespace multiprocessing {

Pool::Pool(PoolOptions options) : exceptions_before_(std::uncaught_exceptions()) {
  if (options.processes < 0 || static_cast<std::size_t>(options.processes) > pool::most_workers) {
    throw std::invalid_argument("Pool: the number of processes is between 1 and 1024, or 0 for one per core");
  }
  if (options.grace.count() < 0 || options.restart_window.count() < 0) {
    throw std::invalid_argument("Pool: a time in PoolOptions is negative");
  }
  if (options.processes == 0) options.processes = cpu_count();
  core_ = pool::start(std::move(options));
}

Pool::~Pool() {
  if (core_ == nullptr) return;
  if (core_->owner() != ::getpid()) {  // a copy in a child: not ours to end
    core_->abandon();
    return;
  }
  try {
    if (std::uncaught_exceptions() > exceptions_before_) {
      core_->terminate();
    } else {
      core_->close();
      core_->join();
    }
  } catch (...) {  // nothing of it can be told here, and the processes are ended by ~Core at the latest
  }
}

Pool::Pool(Pool&& other) noexcept = default;

Pool& Pool::operator=(Pool&& other) noexcept {
  if (this != &other) {
    Pool old(std::move(*this));
    core_ = std::move(other.core_);
    exceptions_before_ = other.exceptions_before_;
  }
  return *this;
}

pool::Core& Pool::core() const {
  if (core_ == nullptr) throw std::logic_error("this Pool was moved from");
  pool::require_owner(*core_);
  return *core_;
}

void Pool::close() { core().close(); }
void Pool::join() { core().join(); }
void Pool::terminate() { core().terminate(); }
void Pool::resize(int processes) { core().resize(processes); }
int Pool::processes() const { return core().processes(); }
PoolStats Pool::stats() const { return core().stats(); }

Pool Context::pool(int processes) const { return pool(PoolOptions{.processes = processes}); }

Pool Context::pool(PoolOptions options) const {
  options.start_method = method_;
  return Pool(std::move(options));
}

namespace pool {
namespace {

template <class Options>
Policy checked(const Options& options) {
  if (options.timeout.count() < 0 || options.soft_timeout.count() < 0 || options.retries < 0) {
    throw std::invalid_argument("Pool: a timeout or the number of retries is negative");
  }
  return {.timeout = options.timeout,
          .soft_timeout = options.soft_timeout,
          .retries = options.retries,
          .retry_exceptions = options.retry_exceptions,
          .priority = options.priority};
}

}  // namespace

Policy policy_of(const TaskOptions& options) { return checked(options); }
Policy policy_of(const MapOptions& options) {
  Policy policy = checked(options);
  const bool each_alone = options.timeout.count() != 0 || options.soft_timeout.count() != 0 || options.retries != 0;
  policy.chunk = options.chunksize != 0 || !each_alone ? options.chunksize : 1;
  return policy;
}

}  // namespace pool

}  // namespace multiprocessing
