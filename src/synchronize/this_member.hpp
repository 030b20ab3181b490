// This process's name in the family (memory::self_name()), asked for once.
#pragma once

#include <cstdint>

namespace multiprocessing::synchronize {

[[nodiscard]] std::uint64_t this_member();

}  // namespace multiprocessing::synchronize
