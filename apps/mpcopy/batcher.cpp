#include "batcher.hpp"

#include <utility>

namespace mpcopy {

void Batcher::enter(Folder folder) {
  folder_ = std::move(folder);
  collected_has_folder_ = false;
}

void Batcher::add(Kind kind, std::string name, std::uint64_t bytes) {
  Item item{.serial = serial_++, .kind = kind, .name = std::move(name)};
  if (bytes >= kBatchBytes) {
    large_.push_back({.folders = {folder_}, .items = {std::move(item)}});
    return;
  }
  if (!std::exchange(collected_has_folder_, true)) collected_.folders.push_back(folder_);
  item.folder = static_cast<std::uint32_t>(collected_.folders.size() - 1);
  collected_.items.push_back(std::move(item));
  collected_bytes_ += bytes;
  if (collected_.items.size() >= kBatchItems || collected_bytes_ >= kBatchBytes) flush();
}

void Batcher::flush() {
  if (collected_.items.empty()) return;
  small_.push_back(std::exchange(collected_, {}));
  collected_bytes_ = 0;
  collected_has_folder_ = false;
}

std::optional<Batch> Batcher::next() {
  std::deque<Batch>& queue = large_.empty() ? small_ : large_;
  if (queue.empty()) return std::nullopt;
  Batch batch = std::move(queue.front());
  queue.pop_front();
  return batch;
}

}  // namespace mpcopy
