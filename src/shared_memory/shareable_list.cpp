// ShareableList in its block.
//
// An item has two versions; `current` says which one holds.  set() writes the other and then `current`, under the list's
// lock, which get() takes too.
//
//  died …                                what the others see
//  making a list, before its name        nothing (shared_memory/create.cpp)
//  in set(), before `current`            the item before
//  after it                              the new item; the lock comes from a dead owner, and nothing is to be repaired
//
// Where items lie is read and checked once, when a process attaches, and kept in its own memory.  What is read later, the
// type and length of an item, is copied before it is checked: no value of any byte of the block leads outside of it.
#include "multiprocessing/shareable_list.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <new>

#include "os/faults.hpp"
#include "shared_memory/block.hpp"
#include "shared_memory/list_layout.hpp"

namespace multiprocessing {

using shared_memory::ItemType;
using shared_memory::ItemVersion;
using shared_memory::ListHeader;
using shared_memory::ListSlot;

namespace {

constexpr std::chrono::seconds patience{10};
constexpr std::size_t smallest_room = 8;

ListHeader& header_of(std::byte* memory) noexcept { return *reinterpret_cast<ListHeader*>(memory); }
ListSlot* slots_of(std::byte* memory) noexcept { return reinterpret_cast<ListSlot*>(memory + sizeof(ListHeader)); }

[[noreturn]] void throw_damaged() { throw Error("ShareableList: somebody has written something else into its memory"); }

std::size_t room_for(std::size_t bytes) noexcept { return (bytes / 8 + 1) * 8; }

// An item as bytes.
struct Encoded {
  ItemType type = ItemType::none;
  std::size_t length = 0;
  const void* data = nullptr;
  std::byte small[8] = {};
};

template <class Number>
void encode_number(Encoded& encoded, ItemType type, Number number) noexcept {
  encoded.type = type;
  encoded.length = sizeof number;
  std::memcpy(encoded.small, &number, sizeof number);
}

// `item` outlives what is made of it.
Encoded encode(const ShareableItem& item) noexcept {
  Encoded encoded;
  const ShareableItem::Value& value = item.value();
  if (const auto* boolean = std::get_if<bool>(&value)) {
    encode_number<std::uint8_t>(encoded, ItemType::boolean, *boolean ? 1 : 0);
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    encode_number(encoded, ItemType::integer, *integer);
  } else if (const auto* number = std::get_if<double>(&value)) {
    encode_number(encoded, ItemType::number, *number);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    encoded.type = ItemType::text;
    encoded.length = text->size();
    encoded.data = text->data();
  } else if (const auto* bytes = std::get_if<std::vector<std::byte>>(&value)) {
    encoded.type = ItemType::bytes;
    encoded.length = bytes->size();
    encoded.data = bytes->data();
  }
  return encoded;
}

void write(std::byte* to, ItemVersion& version, const Encoded& encoded) noexcept {
  version = {encoded.type, static_cast<std::uint32_t>(encoded.length)};
  const void* const from = encoded.data != nullptr ? encoded.data : encoded.small;
  if (encoded.length != 0) std::memcpy(to, from, encoded.length);
}

template <class Number>
Number decode_number(const std::vector<std::byte>& bytes, std::size_t length) {
  if (length != sizeof(Number)) throw_damaged();
  Number number{};
  std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

// `bytes` has room for at least 8 of them.
ShareableItem decode(const ItemVersion& version, std::vector<std::byte>&& bytes) {
  switch (version.type) {
    case ItemType::none:
      return nullptr;
    case ItemType::boolean:
      return decode_number<std::uint8_t>(bytes, version.length) != 0;
    case ItemType::integer:
      return decode_number<std::int64_t>(bytes, version.length);
    case ItemType::number:
      return decode_number<double>(bytes, version.length);
    case ItemType::text:
      return std::string_view(reinterpret_cast<const char*>(bytes.data()), version.length);
    case ItemType::bytes:
      bytes.resize(version.length);
      return std::move(bytes);
    case ItemType::count_:
      break;
  }
  throw_damaged();
}

// The list's lock, for a scope.  Strangers share it: it may be no lock any more, or never be given back.
class Holding {
 public:
  explicit Holding(ListHeader& header) : lock_(header.lock) {
    if (!lock_.is_sound()) throw_damaged();
    if (lock_.acquire(sync::Deadline::after(patience)) == sync::Acquired::timed_out) {
      throw Error("ShareableList: its lock was not to be had for 10 s; a process that is stopped may have it");
    }
  }
  ~Holding() { lock_.release(); }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;

 private:
  sync::RobustLock& lock_;
};

os::FileIdentity pid_namespace() noexcept { return os::identity_of_path("/proc/self/ns/pid"); }

// Fills the memory of a new list.
class Writer {
 public:
  explicit Writer(const std::vector<ShareableItem>& items) : items_(items), at_(sizeof(ListHeader)) {
    at_ += items.size() * sizeof(ListSlot);
    bytes_ = at_;
    for (const ShareableItem& item : items) bytes_ += 2 * room_of(item);
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  void fill(std::byte* memory) {
    auto& header = *new (memory) ListHeader;
    header.bytes = bytes_;
    header.count = items_.size();
    const os::FileIdentity pids = pid_namespace();
    header.pids_device = pids.device;
    header.pids_inode = pids.inode;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      auto& slot = *new (slots_of(memory) + i) ListSlot;
      slot.at = at_;
      slot.room = room_of(items_[i]);
      write(memory + at_, slot.versions[0], encode(items_[i]));
      at_ += 2 * slot.room;
    }
  }

 private:
  static std::size_t room_of(const ShareableItem& item) {
    const Encoded encoded = encode(item);
    if (encoded.length > std::numeric_limits<std::uint32_t>::max() / 2) {
      throw std::invalid_argument("ShareableList: a text has less than 2 GiB");
    }
    return encoded.data != nullptr ? room_for(encoded.length) : smallest_room;
  }

  const std::vector<ShareableItem>& items_;
  std::size_t at_;
  std::size_t bytes_ = 0;
};

}  // namespace

struct ShareableList::Places {
  struct Place {
    std::size_t at;
    std::size_t room;
  };
  std::vector<Place> all;

  [[nodiscard]] const Place& at(std::size_t index) const {
    if (index >= all.size()) throw std::out_of_range("ShareableList: index out of range");
    return all[index];
  }
};

ShareableList::ShareableList(std::initializer_list<ShareableItem> items, const ShareableListOptions& options)
    : ShareableList(std::vector<ShareableItem>(items), options) {}

ShareableList::ShareableList(const std::vector<ShareableItem>& items, const ShareableListOptions& options)
    : memory_(codec::Undecoded()) {
  create(items, options);
}

ShareableList::ShareableList(const ShareableListOptions& options) : memory_({.name = options.name}) { attach(); }

void ShareableList::create(const std::vector<ShareableItem>& items, const ShareableListOptions& options) {
  Writer writer(items);
  memory_ =
      SharedMemory(shared_memory::create({.name = options.name,
                                          .size = writer.bytes(),
                                          .persist = options.persist,
                                          .fill = [&](std::span<std::byte> memory) { writer.fill(memory.data()); }}));
  attach();
}

void ShareableList::attach() {
  const std::span<std::byte> memory = memory_.span();
  const std::size_t bytes = memory.size();
  if (bytes < sizeof(ListHeader)) throw TypeMismatch("shared memory '" + name() + "' is no ShareableList");
  const ListHeader& header = header_of(memory.data());
  const std::uint64_t count = header.count;
  if (header.magic != shared_memory::list_magic || header.lock_bytes != sizeof(sync::RobustLock)) {
    throw TypeMismatch("shared memory '" + name() + "' is no ShareableList, or one of another version");
  }
  if (header.bytes != bytes || count > (bytes - sizeof(ListHeader)) / sizeof(ListSlot)) throw_damaged();
  if (!(os::FileIdentity{header.pids_device, header.pids_inode} == pid_namespace())) {
    throw Error("ShareableList: '" + name() + "' belongs to a container with process ids of its own");
  }
  auto places = std::make_shared<Places>();
  places->all.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const ListSlot& slot = slots_of(memory.data())[i];
    const std::uint64_t at = slot.at;
    const std::uint64_t room = slot.room;
    const bool inside = at >= sizeof(ListHeader) + count * sizeof(ListSlot) && at <= bytes && room <= (bytes - at) / 2;
    if (!inside || room < smallest_room) throw_damaged();
    places->all.push_back({at, room});
  }
  places_ = std::move(places);
}

const ShareableList::Places& ShareableList::places() const {
  if (places_ == nullptr) throw std::logic_error("ShareableList: it was moved from, or never received");
  return *places_;
}

std::byte* ShareableList::memory() const { return memory_.span().data(); }

std::size_t ShareableList::size() const { return places().all.size(); }

ShareableItem ShareableList::get(std::size_t index) const {
  const Places::Place place = places().at(index);
  std::byte* const memory = this->memory();
  std::vector<std::byte> bytes(place.room);
  ItemVersion version;
  {
    const Holding hold(header_of(memory));
    const ListSlot& slot = slots_of(memory)[index];
    const std::uint32_t which = slot.current.load(std::memory_order_relaxed) & 1;
    version = slot.versions[which];
    std::memcpy(bytes.data(), memory + place.at + which * place.room,
                std::min<std::size_t>(version.length, place.room));
  }
  if (version.length > place.room) throw_damaged();
  return decode(version, std::move(bytes));
}

void ShareableList::set(std::size_t index, const ShareableItem& item) const {
  const Places::Place place = places().at(index);
  const Encoded encoded = encode(item);
  if (encoded.length > place.room) {
    throw std::invalid_argument("ShareableList: the text has " + std::to_string(encoded.length) +
                                " bytes, and the item room for " + std::to_string(place.room));
  }
  std::byte* const memory = this->memory();
  const Holding hold(header_of(memory));
  ListSlot& slot = slots_of(memory)[index];
  const std::uint32_t next = 1 - (slot.current.load(std::memory_order_relaxed) & 1);
  write(memory + place.at + next * place.room, slot.versions[next], encoded);
  MULTIPROCESSING_STEP("list.written");
  slot.current.store(next, std::memory_order_release);
  MULTIPROCESSING_STEP("list.committed");
}

std::vector<ShareableItem> ShareableList::items() const {
  std::vector<ShareableItem> all;
  all.reserve(size());
  for (std::size_t i = 0; i < size(); ++i) all.push_back(get(i));
  return all;
}

std::size_t ShareableList::count(const ShareableItem& item) const {
  const std::vector<ShareableItem> all = items();
  return static_cast<std::size_t>(std::count(all.begin(), all.end(), item));
}

std::size_t ShareableList::index(const ShareableItem& item) const {
  for (std::size_t i = 0; i < size(); ++i) {
    if (get(i) == item) return i;
  }
  throw std::invalid_argument("ShareableList: there is no such item");
}

// --- SharedMemoryManager --------------------------------------------------------------------------------------------

struct SharedMemoryManager::Made {
  pid_t pid = ::getpid();
  std::mutex mutex;
  bool is_shut_down = false;
  std::vector<SharedMemory> blocks;
};

SharedMemoryManager::SharedMemoryManager() : made_(std::make_unique<Made>()) {}

SharedMemoryManager::~SharedMemoryManager() { shutdown(); }

SharedMemory SharedMemoryManager::shared_memory(std::size_t size) const {
  const std::lock_guard lock(made_->mutex);
  if (made_->is_shut_down) throw std::logic_error("SharedMemoryManager: it was shut down");
  made_->blocks.reserve(made_->blocks.size() + 1);
  made_->blocks.push_back(SharedMemory({.create = true, .size = size}));
  return made_->blocks.back();
}

ShareableList SharedMemoryManager::shareable_list(std::initializer_list<ShareableItem> items) const {
  return shareable_list(std::vector<ShareableItem>(items));
}

ShareableList SharedMemoryManager::shareable_list(const std::vector<ShareableItem>& items) const {
  const std::lock_guard lock(made_->mutex);
  if (made_->is_shut_down) throw std::logic_error("SharedMemoryManager: it was shut down");
  made_->blocks.reserve(made_->blocks.size() + 1);
  ShareableList list(items);
  made_->blocks.push_back(list.shm());
  return list;
}

void SharedMemoryManager::shutdown() const noexcept {
  if (made_->pid != ::getpid()) return;
  const std::lock_guard lock(made_->mutex);
  made_->is_shut_down = true;
  for (const SharedMemory& block : made_->blocks) {
    try {
      block.unlink();
    } catch (...) {  // somebody has done it before
    }
  }
  made_->blocks.clear();
}

}  // namespace multiprocessing
