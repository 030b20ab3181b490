// The tag by which handles of this library are made empty, before their load() fills them from a message: their default
// constructor would make a new shared object for nothing.
//
//   explicit Queue(codec::Undecoded) noexcept;
#pragma once

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::codec {

struct Undecoded {
  explicit Undecoded() = default;  // {} is something else
};

}  // namespace multiprocessing::codec

#pragma GCC visibility pop
