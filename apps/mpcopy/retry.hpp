// What becomes of a task whose worker died.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "job.hpp"

namespace mpcopy {

// A file that so many workers died over is given up and reported.
inline constexpr std::uint32_t kMaxDeaths = 10;

struct Retry {
  std::vector<Batch> again;  // one item each: the next death has one suspect
  std::vector<Item> given_up;
};

Retry after_death(const Batch& batch);

}  // namespace mpcopy
