// Who this process is: its name, its place in the tree of names, and who started it.
//
// Complete before the process runs anything of the user's and not changed afterwards, so it needs no lock.  A
// child's is prepared by its parent before the fork.  A process forked by other means keeps what it inherits.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <string>

#include "process/relative.hpp"

namespace multiprocessing::process_ {

struct Identity {
  std::string name = "MainProcess";
  std::string path;  // "2:1": the first child made by the second; empty: main
  bool daemon = false;
  pid_t pid = 0;  // the child this was made for; 0: main, or not known yet
  std::string parent_name;
  std::shared_ptr<Relative> parent;  // null: main
  std::atomic<unsigned> made{0};     // Process objects made here so far
};

[[nodiscard]] Identity& identity();
void set_identity(std::unique_ptr<Identity> identity) noexcept;

// The place of the next Process object made here: "3", or "2:1" in process 2.
[[nodiscard]] std::string next_path();

}  // namespace multiprocessing::process_
