#include "batcher.hpp"

#include <utility>

namespace mpcopy {
namespace {

std::optional<Batch> first_of(std::deque<Batch>& queue) {
  if (queue.empty()) return std::nullopt;
  Batch batch = std::move(queue.front());
  queue.pop_front();
  return batch;
}

}  // namespace

void Batcher::enter(Folder folder) {
  if (collected_.batch.items.size() >= kBatchItems) close(collected_, small_);
  folder_ = std::move(folder);
  collected_.has_folder = collected_links_.has_folder = false;
}

void Batcher::add(Kind kind, std::string name, std::uint64_t bytes, std::string other) {
  Item item{.serial = serial_++, .kind = kind, .name = std::move(name), .bytes = bytes, .other = std::move(other)};
  if (kind == Kind::hard_link) return collect(collected_links_, links_, std::move(item));
  if (bytes < kBatchBytes) return collect(collected_, small_, std::move(item));
  large_.push_back({.folders = {folder_}, .items = {std::move(item)}});
}

void Batcher::collect(Collection& into, std::deque<Batch>& full, Item item) {
  if (!std::exchange(into.has_folder, true)) into.batch.folders.push_back(folder_);
  item.folder = static_cast<std::uint32_t>(into.batch.folders.size() - 1);
  into.bytes += item.bytes;
  into.batch.items.push_back(std::move(item));
  if (into.batch.items.size() >= kMostBatchItems || into.bytes >= kBatchBytes) close(into, full);
}

void Batcher::close(Collection& collection, std::deque<Batch>& full) {
  if (!collection.batch.items.empty()) full.push_back(std::move(collection.batch));
  collection = {};
}

void Batcher::flush() {
  close(collected_, small_);
  close(collected_links_, links_);
}

std::optional<Batch> Batcher::next_large() { return first_of(large_); }

std::optional<Batch> Batcher::next_small() { return first_of(small_); }

std::optional<Batch> Batcher::next_links() { return first_of(links_); }

}  // namespace mpcopy
