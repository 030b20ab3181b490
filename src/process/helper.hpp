// What the processes have in common that the library starts for itself: the supervisor of a pool, the server of a manager.
#pragma once

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/routine.hpp"

namespace multiprocessing::process_ {

// In such a process, at its beginning: signals of the terminal and the program's handlers are not for it, and what its
// descendants orphan becomes its own.
void become_helper() noexcept;

// A routine that goes to such a process by message.  Throws NotSendable; also for one with handles in it.
void write_routine(codec::Encoder& out, const detail::Routine& routine);
[[nodiscard]] detail::Routine read_routine(codec::Decoder& in);

}  // namespace multiprocessing::process_
