// A moment of a piece of work → the text of its progress line.  Pure: no clock, no terminal, no environment.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "multiprocessing/progress.hpp"
#include "progress/text.hpp"

namespace multiprocessing::progress_ {

struct Moment {
  std::string label{};
  ProgressUnit unit = ProgressUnit::items;
  ProgressState state{};
  std::chrono::nanoseconds elapsed{0};
  std::optional<double> rate{};                         // per second, of state.done; empty: not known yet
  std::optional<std::chrono::nanoseconds> remaining{};  // empty: not known
};

// For a terminal: at most `columns` wide, no newline, no escape sequences.  From the full line
//   copying  63% |██████████▌      | 12,604/20,000 [00:07<00:04, 1,750.3/s]
// the least needed parts are dropped until the rest fits; down to "63%", and nothing below that.
std::string render_bar(const Moment& moment, int columns, Charset charset);

// For a log: "copying  63% 12,604/20,000 [00:07<00:04, 1,750.3/s]", whatever its length.
std::string render_plain(const Moment& moment);

}  // namespace multiprocessing::progress_
