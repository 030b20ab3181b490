// What the command line asks for.
#pragma once

#include <string>
#include <vector>

namespace mpcopy {

struct Options {
  std::vector<std::string> sources;
  std::string destination;
  int processes = 0;   // 0: one per available core
  bool quiet = false;  // errors only
};

}  // namespace mpcopy
