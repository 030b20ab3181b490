// What is not to be copied, told by patterns as the shell's.
//
//   *.o          a name, wherever it is
//   build/       a name, of directories alone
//   doc/*.html   with a slash elsewhere: the path below SRC, from its beginning; `*` does not match a slash, `**` does
//   /core        the same, for a single name: directly in SRC
#pragma once

#include <string>
#include <vector>

namespace mpcopy {

class Exclude {
 public:
  Exclude() = default;
  explicit Exclude(const std::vector<std::string>& patterns);

  // `path` is that below SRC.
  [[nodiscard]] bool matches(const std::string& path, bool is_directory) const;
  [[nodiscard]] bool empty() const { return patterns_.empty(); }

 private:
  struct Pattern {
    std::string glob;
    bool of_path;
    bool of_directories;
    int flags;
  };
  std::vector<Pattern> patterns_;
};

}  // namespace mpcopy
