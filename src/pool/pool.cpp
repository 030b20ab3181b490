#include "multiprocessing/pool.hpp"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "multiprocessing/process.hpp"
#include "pool/core.hpp"

namespace multiprocessing {

Pool::Pool(PoolOptions options) : exceptions_before_(std::uncaught_exceptions()) {
  if (options.processes < 0 || options.processes > 1024) {
    throw std::invalid_argument("Pool: the number of processes is between 1 and 1024, or 0 for one per core");
  }
  if (options.processes == 0) options.processes = cpu_count();
  core_ = pool::start({.processes = options.processes, .initializer = std::move(options.initializer)});
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

// As Python: four chunks per worker, so that one slow chunk does not leave the others idle for long.
std::size_t Pool::chunk_for(std::size_t count, MapOptions options) const {
  if (options.chunksize != 0) return std::min(options.chunksize, std::max<std::size_t>(1, count));
  const auto share = static_cast<std::size_t>(core().processes()) * 4;
  return std::max<std::size_t>(1, (count + share - 1) / share);
}

void Pool::close() { core().close(); }
void Pool::join() { core().join(); }
void Pool::terminate() { core().terminate(); }

}  // namespace multiprocessing
