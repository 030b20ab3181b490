#include "job.hpp"

#include <cinttypes>
#include <cstdio>

#include "text.hpp"

namespace mpcopy {

const std::string& target_name(const Folder& folder, const Item& item) {
  return folder.target_name.empty() ? item.name : folder.target_name;
}

std::string source_path(const Folder& folder, const Item& item) { return joined(folder.source, item.name); }

std::string target_path(const Folder& folder, const Item& item) {
  return joined(folder.target, target_name(folder, item));
}

std::string temporary_name(std::uint64_t run, std::uint64_t serial) {
  char name[64];
  std::snprintf(name, sizeof name, ".mpcopy-%016" PRIx64 "-%" PRIu64, run, serial);
  return name;
}

}  // namespace mpcopy
