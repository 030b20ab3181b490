// --bars: a line for each worker on the terminal, above the bar of all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "report.hpp"

namespace mpcopy {

// "[####------]  42%  4711  'a/b'" in so many columns at most.  Of a path that is too long, its end.
std::string worker_line(const Running& running, std::size_t columns);

class WorkerLines {
 public:
  // Null where standard error is no terminal: lines that cannot be drawn again would be a flood.
  static std::unique_ptr<WorkerLines> on_terminal(int workers);

  // The cursor stands at the line below them, before and after.
  void draw(const std::vector<Running>& workers);
  void clear();

 private:
  explicit WorkerLines(int workers) : lines_(static_cast<std::size_t>(workers)) {}

  std::size_t lines_;
  bool drawn_ = false;
};

}  // namespace mpcopy
