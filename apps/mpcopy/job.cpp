#include "job.hpp"

#include "text.hpp"

namespace mpcopy {

const std::string& target_name(const Folder& folder, const Item& item) {
  return folder.target_name.empty() ? item.name : folder.target_name;
}

std::string source_path(const Folder& folder, const Item& item) { return joined(folder.source, item.name); }

std::string target_path(const Folder& folder, const Item& item) {
  return joined(folder.target, target_name(folder, item));
}

}  // namespace mpcopy
