// traced: a call whose exceptions leave a stack behind.  Layer: crash.
//
//   try {
//     crash::traced([&] { f(x); });
//   } catch (...) {
//     … the stack at the throw is there to be taken (src/crash/traced_call.hpp) …
//   }
//
// Costs one call through a pointer, and where something is thrown the walk over the stack, some microseconds.
#pragma once

#include <memory>
#include <type_traits>

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

extern "C" void multiprocessing_traced_call(void (*function)(void*), void* argument);

namespace multiprocessing::crash {

template <class F>
void traced(F&& f) {
  using Plain = std::remove_reference_t<F>;
  multiprocessing_traced_call([](void* argument) { (*static_cast<Plain*>(argument))(); },
                              const_cast<std::remove_const_t<Plain>*>(std::addressof(f)));
}

}  // namespace multiprocessing::crash

#pragma GCC visibility pop
