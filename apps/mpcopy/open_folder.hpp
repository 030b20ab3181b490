// The two directories that items are copied between, open.
#pragma once

#include "base/fd.hpp"
#include "job.hpp"
#include "target_check.hpp"

namespace mpcopy {

class OpenFolder {
 public:
  // Makes the target where it is not there.  Throws CopyError.  Keeps `folder`.
  explicit OpenFolder(const Folder& folder);

  [[nodiscard]] Place source(const Item& item) const { return {source_.get(), item.name, source_path(folder_, item)}; }
  [[nodiscard]] Place target(const Item& item) const {
    return {target_.get(), target_name(folder_, item), target_path(folder_, item), gives_acls_};
  }
  [[nodiscard]] Place temporary(const Item& item, const std::string& name) const {
    return {target_.get(), name, target_path(folder_, item), gives_acls_};
  }

 private:
  multiprocessing::base::Fd source_, target_;
  const Folder& folder_;
  bool gives_acls_;
};

}  // namespace mpcopy
