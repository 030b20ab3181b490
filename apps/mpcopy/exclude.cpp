#include "exclude.hpp"

#include <fnmatch.h>

namespace mpcopy {

Exclude::Exclude(const std::vector<std::string>& patterns) {
  for (std::string glob : patterns) {
    if (glob.empty()) continue;
    const bool of_directories = glob.size() > 1 && glob.back() == '/';
    while (glob.size() > 1 && glob.back() == '/') glob.pop_back();
    const bool of_path = glob.find('/') != std::string::npos;
    if (glob.rfind('/', 0) == 0) glob.erase(0, 1);
    const int flags = glob.find("**") == std::string::npos ? FNM_PATHNAME : 0;
    patterns_.push_back({std::move(glob), of_path, of_directories, flags});
  }
}

bool Exclude::matches(const std::string& path, bool is_directory) const {
  const std::size_t slash = path.rfind('/');
  const char* name = path.c_str() + (slash == std::string::npos ? 0 : slash + 1);
  for (const Pattern& pattern : patterns_) {
    if (pattern.of_directories && !is_directory) continue;
    if (::fnmatch(pattern.glob.c_str(), pattern.of_path ? path.c_str() : name, pattern.flags) == 0) return true;
  }
  return false;
}

}  // namespace mpcopy
