// Team: the children of one parallel call, as their caller has them.
//
//   fork all ─► wait for all ─► read what they have written ─► reap
//                   └── one died: WorkerDied; ~Team kills the others
//
// Invariants
//   1. When a Team is gone so are its children, however that came about.
//   2. A child is reaped after what it has written is read: till then what its results name is alive.
//   3. A child that is done is never killed: what it holds back for the standard streams is still to come.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/fd.hpp"
#include "os/os.hpp"
#include "parallel/board.hpp"
#include "process/child.hpp"

namespace multiprocessing::parallel {

class Team {
 public:
  Team(Work& work, std::size_t items, std::size_t processes);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  void fork_all();
  void wait();
  void collect();
  void join();

 private:
  void fork_one(std::size_t number);
  void kill(std::size_t number);
  bool look_at(std::size_t number);
  [[nodiscard]] bool is_done(std::size_t number) const;
  [[noreturn]] void throw_died(std::size_t number);
  void require_written() const;
  void read(std::span<const std::byte> file);

  Work& work_;
  const std::size_t items_;
  const std::size_t processes_;
  const Area area_;
  Board& board_;
  base::Fd file_;
  os::FileIdentity file_identity_;
  std::vector<std::unique_ptr<process_::Child>> children_;
};

}  // namespace multiprocessing::parallel
