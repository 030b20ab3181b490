// ShareableList: a list of numbers and texts in shared memory, by name, as Python's multiprocessing.shared_memory.
//
//   mp::ShareableList list{1, 2.5, "text", true, nullptr};
//   list.set(0, 7);
//   list.get<std::int64_t>(0);                         // 7
//   list.get<double>(0);                               // throws TypeMismatch
//
//   mp::ShareableList settings({1, "fast"}, {.name = "settings"});   // for other programs …
//   mp::ShareableList theirs({.name = "settings"});                  // … which attach to it
//
// Items are integers (as std::int64_t), doubles, bools, texts (std::string), bytes (std::vector<std::byte>), or nothing
// (nullptr, std::monostate).  set() may change the type of an item.  The length of the list does not change, and neither does
// the room of an item: that of the text it began with, rounded up to the next multiple of 8 bytes above it (other items: 8).
//
// It is a SharedMemory, shm(): all that is said there holds of its name, its life and its ways to other processes.
// Threads and processes: each call is atomic; nobody sees half of a text, whoever dies in the middle of set().
// Errors: std::out_of_range: no such index, or an integer that does not fit the type asked for; std::invalid_argument: a text
// without room, index() of what is not there; TypeMismatch; Error: somebody has written something else into the memory,
// or one who is stopped in the middle of a call has kept all others waiting for 10 s.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/shared_memory.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

// One value of a list.  Made from whatever can be one, without surprises: a text is no bool, and no item is a pointer.
class ShareableItem {
 public:
  using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<std::byte>>;

  ShareableItem() noexcept = default;
  ShareableItem(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor): {1, nullptr} is to be a list
  ShareableItem(std::monostate) noexcept {}  // NOLINT(google-explicit-constructor)
  template <std::same_as<bool> Bool>
  ShareableItem(Bool value) noexcept : value_(value) {}  // NOLINT(google-explicit-constructor)
  template <std::integral Integer>
    requires(!std::same_as<Integer, bool>)
  ShareableItem(Integer value) : value_(checked(value)) {}  // NOLINT(google-explicit-constructor)
  template <std::floating_point Number>
  ShareableItem(Number value) noexcept : value_(static_cast<double>(value)) {}  // NOLINT(google-explicit-constructor)
  template <class Text>
    requires(std::convertible_to<const Text&, std::string_view> && !std::same_as<Text, std::nullptr_t>)
  ShareableItem(const Text& text) : value_(std::string(std::string_view(text))) {}  // NOLINT(google-explicit-constructor)
  ShareableItem(std::vector<std::byte> bytes) noexcept : value_(std::move(bytes)) {}  // NOLINT

  [[nodiscard]] const Value& value() const noexcept { return value_; }
  friend bool operator==(const ShareableItem&, const ShareableItem&) = default;

  // As T; throws TypeMismatch, and std::out_of_range for an integer that T cannot hold.
  template <class T>
  [[nodiscard]] T as() const {
    if constexpr (std::same_as<T, ShareableItem>) {
      return *this;
    } else if constexpr (std::same_as<T, Value>) {
      return value_;
    } else if constexpr (std::same_as<T, std::nullptr_t>) {
      static_cast<void>(held<std::monostate>());
      return nullptr;
    } else if constexpr (std::integral<T> && !std::same_as<T, bool>) {
      const std::int64_t value = held<std::int64_t>();
      using Limits = std::numeric_limits<T>;
      if (std::cmp_less(value, +Limits::min()) || std::cmp_greater(value, +Limits::max())) {  // +: also of characters
        throw std::out_of_range("ShareableList: the integer does not fit the type asked for");
      }
      return static_cast<T>(value);
    } else if constexpr (std::floating_point<T>) {
      return static_cast<T>(held<double>());
    } else {
      static_assert(std::same_as<T, bool> || std::same_as<T, std::monostate> || std::same_as<T, std::string> ||
                        std::same_as<T, std::vector<std::byte>>,
                    "mp::ShareableList: an item is an integer, a floating point number, a bool, a std::string, a "
                    "std::vector<std::byte>, a std::monostate or a std::nullptr_t");
      return held<T>();
    }
  }

 private:
  template <std::integral Integer>
  static std::int64_t checked(Integer value) {
    if (!std::in_range<std::int64_t>(+value)) {
      throw std::out_of_range("ShareableList: integers have 64 bits and a sign");
    }
    return static_cast<std::int64_t>(value);
  }
  template <class T>
  const T& held() const {
    const T* const found = std::get_if<T>(&value_);
    if (found == nullptr) throw TypeMismatch("ShareableList: the item is of another type than asked for");
    return *found;
  }

  Value value_;
};

struct ShareableListOptions {
  std::string name = {};  // of a new list: empty: a random one
  bool persist = false;   // of a new list
};

class ShareableList {
 public:
  ShareableList(std::initializer_list<ShareableItem> items, const ShareableListOptions& options = {});
  explicit ShareableList(const std::vector<ShareableItem>& items, const ShareableListOptions& options = {});
  // The one of that name.  Throws TypeMismatch when that is no list.
  explicit ShareableList(const ShareableListOptions& options);

  [[nodiscard]] std::size_t size() const;
  template <class T>
  [[nodiscard]] T get(std::size_t index) const {
    return get(index).as<T>();
  }
  [[nodiscard]] ShareableItem get(std::size_t index) const;
  void set(std::size_t index, const ShareableItem& item) const;
  [[nodiscard]] std::vector<ShareableItem> items() const;  // each as it was at one moment, not all at the same

  [[nodiscard]] std::size_t count(const ShareableItem& item) const;
  [[nodiscard]] std::size_t index(const ShareableItem& item) const;  // of the first such; throws std::invalid_argument

  [[nodiscard]] const SharedMemory& shm() const noexcept { return memory_; }
  [[nodiscard]] const std::string& name() const { return memory_.name(); }
  void close() const noexcept { memory_.close(); }
  void unlink() const { memory_.unlink(); }

  // Travelling inside messages (serialize.hpp).
  explicit ShareableList(codec::Undecoded undecoded) noexcept : memory_(undecoded) {}
  template <class Archive>
  void save(Archive& archive) const {
    memory_.save(archive);
  }
  template <class Archive>
  void load(Archive& archive) {
    memory_.load(archive);
    attach();
  }

 private:
  struct Places;  // where the items lie, as it was found when we attached
  void create(const std::vector<ShareableItem>& items, const ShareableListOptions& options);
  void attach();
  [[nodiscard]] const Places& places() const;
  [[nodiscard]] std::byte* memory() const;

  SharedMemory memory_;
  std::shared_ptr<const Places> places_;
};

// Makes blocks and lists, and unlinks all of them when it goes; as all blocks do, they go with the program, too.
//
//   mp::SharedMemoryManager manager;
//   mp::ShareableList list = manager.shareable_list({1, 2, 3});
//
// Threads: all calls from any thread.  Fork: a child's copy unlinks nothing.
class SharedMemoryManager {
 public:
  SharedMemoryManager();
  ~SharedMemoryManager();
  SharedMemoryManager(const SharedMemoryManager&) = delete;
  SharedMemoryManager& operator=(const SharedMemoryManager&) = delete;

  [[nodiscard]] SharedMemory shared_memory(std::size_t size) const;
  [[nodiscard]] ShareableList shareable_list(std::initializer_list<ShareableItem> items) const;
  [[nodiscard]] ShareableList shareable_list(const std::vector<ShareableItem>& items) const;
  // Now instead of at its end; what is asked of it afterwards is std::logic_error.
  void shutdown() const noexcept;

 private:
  struct Made;
  std::unique_ptr<Made> made_;
};

}  // namespace multiprocessing

#pragma GCC visibility pop
