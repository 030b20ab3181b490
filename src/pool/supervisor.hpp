// The supervisor: a process of one thread between the host and its workers.  It forks workers from the memory of the
// host as that was when the pool was made, learns of their deaths, sweeps up what they leave behind and ends
// everything when the host ends.  It runs no user code, holds no lock and touches nothing that a crashing worker
// could have left locked.
//
//   event                       action
//   place is vacant             fork a worker there               → running, or failed
//   place has a doom            SIGKILL its worker
//   a task runs past a limit,   tell it; or halt its worker, doom, SIGKILL (watch.hpp)
//     or a worker has too much
//     memory
//   wish: finish                no refills any more; ends with the last worker
//   wish: terminate, or the     SIGKILL all workers and what they started; end
//     host has ended
//   worker ended                kill its process group, reap it, kill the orphans it left   → dead
//
//  dies …                 what happens to the rest
//  the supervisor          each worker has SIGKILL as its parent-death signal; the host sees the pidfd
//  the host                its pidfd wakes the supervisor: terminate
//  a worker                its place turns `dead`; the host decides
#pragma once

#include "base/fd.hpp"
#include "memory/family.hpp"
#include "multiprocessing/pool_options.hpp"
#include "pool/control.hpp"
#include "pool/mailbox.hpp"

namespace multiprocessing::pool {

struct SupervisorPlan {
  Control* control;
  Mailbox* mailboxes;            // of most_workers places
  base::Fd bell;                 // our end of the socket pair: a message, look at control
  base::Fd host;                 // pidfd
  memory::MemberId host_member;  // guardian of the workers
  PoolOptions options;
};

// Never returns.
[[noreturn]] void supervise(SupervisorPlan& plan) noexcept;

}  // namespace multiprocessing::pool
