// Child: the parent's record of one child, from before its start until nobody asks for it any more.
//
// The race this class exists for:
//   1. A waiter reaps the child; the kernel may now give its pid to a stranger.
//   2. Another thread, unaware, signals that pid.  The stranger dies.
// Hence: signals go through the pidfd only, and a child is reaped in exactly one place, reap_locked().
//
// Three more, which a host program can cause:
//   - It reaps with waitpid(-1), or ignores SIGCHLD: waitid says ECHILD.  The end is known then, its code is not.
//   - It closes all its descriptors: the pidfd is gone (EBADF), or its number is another file.  waitid refuses what is
//     no pidfd, so every wait begins with an attempt to reap, and a lost pidfd is opened again by pid, which is safe as
//     long as waitid calls the result a child of ours.  When the number has become the pidfd of a later child of ours
//     the registry tells us (forget_pidfd).  Not covered: a pidfd that the program itself opened, landing on the very
//     number.
//   - It forks, and the copy is asked: only the process that started a child may wait for it (require_parent).
//     Until that is checked nothing here is locked, because the mutex of a copy may be locked for ever.
#pragma once

#include <sys/types.h>

#include <mutex>
#include <optional>
#include <string>

#include "memory/family.hpp"
#include "process/peer.hpp"

namespace multiprocessing::process_ {

class Child final : public Peer {
 public:
  // `path`: its place in the tree of names, see identity.hpp.
  Child(std::string name, std::string path, bool daemon);
  ~Child() override;

  // --- before the start: one thread
  [[nodiscard]] bool is_started() const noexcept { return pid_ != 0; }
  [[nodiscard]] bool was_made_here() const noexcept;
  void set_daemon(bool daemon) noexcept { daemon_ = daemon; }
  void set_name(std::string name);
  void keep_out_of_reports() noexcept { is_reported_ = false; }  // a process of ours, not of the program
  void has_started(memory::Forked&& forked) noexcept;  // in the parent
  void becomes_this_process() noexcept;                // in the child: the record is of the process itself now

  // --- afterwards: any thread
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] pid_t pid() const noexcept override { return pid_; }
  [[nodiscard]] bool daemon() const noexcept override { return daemon_; }
  [[nodiscard]] bool is_alive() override;
  [[nodiscard]] std::optional<int> exitcode();
  bool join(Deadline deadline) override;
  void signal(int signo) override;
  void kill() override;
  [[nodiscard]] int sentinel() override;

  // For the registry, whose lock is taken before this one's.
  [[nodiscard]] bool has_ended();
  void forget_pidfd_if(int number) noexcept;
  [[nodiscard]] int pidfd_number() const noexcept { return pidfd_; }

 private:
  enum class State { made, running, ended };

  [[nodiscard]] bool is_this_process() const noexcept;
  void require_parent(const char* what) const;
  [[nodiscard]] bool ended_and_forgotten();
  [[nodiscard]] std::optional<int> pidfd_if_running();
  [[nodiscard]] bool reap_locked();
  void reopen_pidfd_locked();
  void ended_locked(std::optional<int> code) noexcept;

  std::string name_;
  const std::string path_;
  bool daemon_;
  bool is_reported_ = true;
  pid_t owner_;  // the process that made the object
  pid_t pid_ = 0;
  memory::MemberId member_ = 0;

  std::mutex mutex_;  // guards what follows
  State state_ = State::made;
  bool forgotten_ = false;  // by the registry
  int pidfd_ = -1;          // not a base::Fd: a program may have closed it behind our back, see pidfd.hpp
  std::optional<int> exitcode_;
};

}  // namespace multiprocessing::process_
