#include "interrupt.hpp"

#include <csignal>
#include <cstdlib>

namespace mpcopy {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
volatile std::sig_atomic_t noted = 0;

void note(int signal) { noted = signal; }

}  // namespace

InterruptWatch::InterruptWatch() {
  noted = 0;
  for (const int signal : kSignals) {
    struct sigaction old {};
    ::sigaction(signal, nullptr, &old);
    if (old.sa_handler == SIG_IGN) continue;
    struct sigaction mine {};
    mine.sa_handler = note;
    mine.sa_flags = SA_RESTART;
    ::sigaction(signal, &mine, nullptr);
  }
}

InterruptWatch::~InterruptWatch() {
  for (const int signal : kSignals) {
    struct sigaction now {};
    ::sigaction(signal, nullptr, &now);
    if (now.sa_handler == note) std::signal(signal, SIG_DFL);
  }
}

int InterruptWatch::signal() { return noted; }

void end_by(int signal) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
  std::_Exit(128 + signal);  // not reached: the default action of these signals ends the process
}

}  // namespace mpcopy
