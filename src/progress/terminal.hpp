// The descriptor that a progress line is drawn on.
#pragma once

#include <string_view>

#include "progress/text.hpp"

namespace multiprocessing::progress_ {

// A terminal on which a line can be redrawn.  As make and ninja do, TERM unset or "dumb" counts as none.
bool is_redrawable(int fd);

// The terminal's width now; 80 where it does not say.  Asked anew for each redraw, which needs no SIGWINCH handler.
int terminal_columns(int fd);

// What the environment says of the terminal.  Not nl_langinfo: programs rarely call setlocale, and the locale of a
// remote user's terminal is often not installed.
Charset charset_of_environment();

// Writes all of `text`, or as much as the descriptor takes.  False: nothing more will be seen there.  Neither throws
// nor raises SIGPIPE.
bool write_quietly(int fd, std::string_view text) noexcept;

}  // namespace multiprocessing::progress_
