// What a child of a parallel call does between its fork and its end.
#pragma once

#include <sys/types.h>

#include "os/os.hpp"
#include "parallel/board.hpp"
#include "process/bootstrap.hpp"

namespace multiprocessing::parallel {

struct ChildTask {
  Work& work;
  Board& board;
  Place& place;
  Index items;
  Index processes;
  int file;
  os::FileIdentity file_identity;
};

// noexcept: an exception that came out of here would go on in a copy of the caller.
[[noreturn]] void be_child(const ChildTask& task, process_::ChildPlan& plan) noexcept;

}  // namespace multiprocessing::parallel
