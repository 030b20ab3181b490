// What set_start_method() has set, on its way to a child that is no copy.
#pragma once

#include <optional>

#include "multiprocessing/start_method.hpp"

namespace multiprocessing::process_ {

[[nodiscard]] std::optional<StartMethod> default_method() noexcept;
void inherit_default_method(std::optional<StartMethod> method) noexcept;

}  // namespace multiprocessing::process_
