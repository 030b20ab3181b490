// Relative: this process or its parent, as current_process() and parent_process() show them.
//
// Neither can be reaped from here.  Whether the parent lives is what getppid() says: the kernel gives orphans
// a new parent in the very step in which the old one dies.  So no pidfd is needed until somebody wants to
// wait, and one that is opened by pid is the parent's if getppid() still says so afterwards.
//
// No mutex: a copy in a forked child must never find one locked.
#pragma once

#include <sys/types.h>

#include <atomic>

#include "process/peer.hpp"

namespace multiprocessing::process_ {

class Relative final : public Peer {
 public:
  Relative(pid_t pid, bool daemon) noexcept : pid_(pid), daemon_(daemon) {}
  ~Relative() override;

  [[nodiscard]] pid_t pid() const noexcept override { return pid_; }
  [[nodiscard]] bool daemon() const noexcept override { return daemon_; }
  [[nodiscard]] bool is_alive() override;
  bool join(Deadline deadline) override;
  void signal(int signo) override;
  void kill() override;
  [[nodiscard]] int sentinel() override;

 private:
  [[nodiscard]] bool is_this_process() const noexcept;
  [[nodiscard]] int keep(int fd) noexcept;

  const pid_t pid_;
  const bool daemon_;
  std::atomic<int> pidfd_{-1};
};

}  // namespace multiprocessing::process_
