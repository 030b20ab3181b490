// The worker: takes tasks from its mailbox and runs them, one after another, until it is told to finish.
#pragma once

#include <functional>

#include "pool/control.hpp"
#include "pool/mailbox.hpp"

namespace multiprocessing::pool {

// Returns the exit code: 0 when told to finish, 1 when the initializer threw.
int work(Mailbox& mailbox, Control& control, const std::function<void()>& initializer);

}  // namespace multiprocessing::pool
