// Ctrl-C and friends, noticed by the copy's own loop instead of ending the program anywhere.
#pragma once

namespace mpcopy {

// While it lives, SIGINT, SIGTERM and SIGHUP are noted (unless they were ignored, as under nohup).
class InterruptWatch {
 public:
  InterruptWatch();
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  // The signal that came; 0: none.
  static int signal();
};

// Ends the program the way the signal would have ended it, so that a shell sees 128 + signal.
[[noreturn]] void end_by(int signal);

}  // namespace mpcopy
