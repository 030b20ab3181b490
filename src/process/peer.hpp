// Peer: what a ProcessInfo looks at.  A child (child.hpp) can be reaped and has descendants to kill; this
// process itself and its parent (relative.hpp) can only be watched and signalled.
#pragma once

#include <sys/types.h>

#include "multiprocessing/detail/deadline.hpp"

namespace multiprocessing::process_ {

using detail::Deadline;

class Peer {
 public:
  Peer() = default;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  virtual ~Peer() = default;

  [[nodiscard]] virtual pid_t pid() const noexcept = 0;
  [[nodiscard]] virtual bool daemon() const noexcept = 0;
  [[nodiscard]] virtual bool is_alive() = 0;
  virtual bool join(Deadline deadline) = 0;  // has it ended by then?
  virtual void signal(int signo) = 0;        // nothing happens when it has ended
  virtual void kill() = 0;
  [[nodiscard]] virtual int sentinel() = 0;
};

}  // namespace multiprocessing::process_
