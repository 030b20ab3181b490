#include "retry.hpp"

#include <utility>

namespace mpcopy {

Retry after_death(const Batch& batch) {
  Retry retry;
  for (Item item : batch.items) {
    if (++item.deaths >= kMaxDeaths) {
      retry.given_up.push_back(std::move(item));
      continue;
    }
    const Folder& folder = batch.folders[item.folder];
    item.folder = 0;
    retry.again.push_back({.run = batch.run, .folders = {folder}, .items = {std::move(item)}});
  }
  return retry;
}

}  // namespace mpcopy
