// What has no content: symbolic links, special files, and further names of what was copied already.  They, too, appear
// under their names only when they are whole (copy_file.hpp has the table).
#pragma once

#include <string>

#include "copy_file.hpp"

namespace mpcopy {

// The link itself, wherever it points; a FIFO, a socket or a device.  Throws CopyError.
Outcome copy_node(const Place& source, const Place& target, const std::string& temporary, const Rules& rules,
                  Observer& observer);

// Gives the copy at the path `other` the name of the target, too.  Throws CopyError.
void copy_hard_link(const std::string& other, const Place& target, const std::string& temporary);

}  // namespace mpcopy
