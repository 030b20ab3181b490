// Format<T> of the standard library's strings and containers.
//
// Every loader builds its container element by element from bytes that are there: cereal's own resize() to a
// count read from the bytes first, which a damaged or hostile message can make as large as it likes.
#pragma once

#include <algorithm>
#include <concepts>
#include <deque>
#include <initializer_list>
#include <list>
#include <map>
#include <queue>
#include <set>
#include <span>
#include <stack>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "multiprocessing/detail/archive_writer.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::codec {

template <class C, class Traits>
inline constexpr bool is_view<std::basic_string_view<C, Traits>> = true;
template <class T, std::size_t N>
inline constexpr bool is_view<std::span<T, N>> = true;
template <class T>
inline constexpr bool is_view<std::initializer_list<T>> = true;

// What a Format says unless it says otherwise.
struct Varying {
  static constexpr std::size_t kFixedBytes = kVaries;
  static constexpr bool kDense = false;
};

// ---- Strings: count u64, characters ----

template <class C, class Traits, class A>
struct Format<std::basic_string<C, Traits, A>> : Varying {
  using String = std::basic_string<C, Traits, A>;
  using parts = Types<C>;
  static constexpr std::size_t kMinBytes = sizeof(std::uint64_t);

  static void write(Writer& out, const String& value) {
    static_assert(dense<C>());
    const std::uint64_t count = value.size();
    const std::size_t size = value.size() * sizeof(C);
    std::byte* const at = out.room(sizeof count + size);
    std::memcpy(at, &count, sizeof count);
    if (size != 0) std::memcpy(at + sizeof count, value.data(), size);
  }
  static String read(Reader& in) {
    const std::size_t count = in.count<C>();
    const std::byte* const from = in.raw(count * sizeof(C));
    if constexpr (sizeof(C) == 1) {
      return String(reinterpret_cast<const C*>(from), count);
    } else {
      String value(count, C{});
      if (count != 0) std::memcpy(value.data(), from, count * sizeof(C));
      return value;
    }
  }
};

// std::filesystem::path, by its shape: who does not send one need not compile <filesystem>.
template <class P>
concept filesystem_path = std::is_class_v<P> && requires(const P& path) {
  P::preferred_separator;
  requires std::same_as<typename P::string_type, std::string>;
  { path.native() } -> std::same_as<const std::string&>;
  { path.lexically_normal() } -> std::same_as<P>;
};

template <filesystem_path P>
struct Format<P> : Varying {
  using parts = Types<>;
  static constexpr std::size_t kMinBytes = sizeof(std::uint64_t);
  static void write(Writer& out, const P& value) { Format<std::string>::write(out, value.native()); }
  static P read(Reader& in) { return Format<std::string>::read(in); }
};

// ---- Containers: count u64, elements ----

// Elements of a type that always takes the same number of bytes are written and read in one step.
template <class T>
inline constexpr bool is_fixed = fixed_bytes<T>() != kVaries&& fixed_bytes<T>() != 0;

template <class Container>
void write_elements(Writer& out, const Container& container) {
  using T = typename Container::value_type;
  out.count(container.size());
  if constexpr (is_fixed<T>) {
    Packer packer(out.room(container.size() * fixed_bytes<T>()));
    for (const auto& element : container) codec::write(packer, element);
  } else {
    const Nested nested(out);
    for (const auto& element : container) {
      const std::size_t before = out.size();
      codec::write(out, element);
      if constexpr (min_bytes<T>() == 0) out.weigh(before);
    }
  }
}

// Reads `count` elements and gives each to append().
template <class T, class Append>
void read_elements(Reader& in, std::size_t count, const Append& append) {
  if constexpr (is_fixed<T>) {
    Unpacker unpacker(in.raw(count * fixed_bytes<T>()));
    for (std::size_t i = 0; i < count; ++i) append(unpacker);
  } else {
    const Nested nested(in);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t before = in.remaining();
      append(in);
      if constexpr (min_bytes<T>() == 0) in.weigh(before);
    }
  }
}

template <class Sequence>
struct SequenceFormat : Varying {
  using T = typename Sequence::value_type;
  using parts = Types<T>;
  static constexpr std::size_t kMinBytes = sizeof(std::uint64_t);

  static void write(Writer& out, const Sequence& value) { write_elements(out, value); }
  static Sequence read(Reader& in) {
    Sequence value;
    read_elements<T>(in, in.count<T>(), [&value](auto& from) { value.emplace_back(codec::read<T>(from)); });
    return value;
  }
};

template <class T, class A>
struct Format<std::deque<T, A>> : SequenceFormat<std::deque<T, A>> {};
template <class T, class A>
struct Format<std::list<T, A>> : SequenceFormat<std::list<T, A>> {};

// From bytes of any alignment: in one copy where they are aligned for T, else one by one.
template <class T>
class UnalignedIterator {
 public:
  using iterator_category = std::random_access_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using pointer = void;
  using reference = T;

  explicit UnalignedIterator(const std::byte* at) noexcept : at_(at) {}
  T operator*() const noexcept { return from_bytes<T>(at_); }
  UnalignedIterator& operator++() noexcept {
    at_ += sizeof(T);
    return *this;
  }
  UnalignedIterator& operator--() noexcept {
    at_ -= sizeof(T);
    return *this;
  }
  UnalignedIterator& operator+=(difference_type n) noexcept {
    at_ += n * static_cast<difference_type>(sizeof(T));
    return *this;
  }
  friend difference_type operator-(UnalignedIterator a, UnalignedIterator b) noexcept {
    return (a.at_ - b.at_) / static_cast<difference_type>(sizeof(T));
  }
  friend bool operator==(UnalignedIterator, UnalignedIterator) noexcept = default;

 private:
  const std::byte* at_;
};

// What to reserve for `count` elements whose bytes may not be there: all of it where an element is little
// more than its bytes, else no more memory than there are bytes left.
template <class T>
std::size_t first_reserve(const Reader& in, std::size_t count) {
  constexpr std::size_t each = min_bytes<T>();
  if constexpr (sizeof(T) <= 4 * each) return count;
  return std::min(count, in.remaining() / sizeof(T) + 1);
}

// Replaces the elements of `value`; allocates only beyond its capacity.
template <class T, class A>
void assign_dense(std::vector<T, A>& value, std::span<const std::byte> bytes) {
  const std::byte* const end = bytes.data() + bytes.size();
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(T) == 0) {
    value.assign(reinterpret_cast<const T*>(bytes.data()), reinterpret_cast<const T*>(end));
  } else {
    value.assign(UnalignedIterator<T>(bytes.data()), UnalignedIterator<T>(end));
  }
}

template <class T, class A>
struct Format<std::vector<T, A>> : SequenceFormat<std::vector<T, A>> {
  using Vector = std::vector<T, A>;

  static void write(Writer& out, const Vector& value) {
    if constexpr (dense<T>()) {
      out.count(value.size());
      out.raw(value.data(), value.size() * sizeof(T));
    } else {
      write_elements(out, value);
    }
  }
  static Vector read(Reader& in) {
    Vector value;
    const std::size_t count = in.count<T>();
    if constexpr (dense<T>()) {
      assign_dense(value, {in.raw(count * sizeof(T)), count * sizeof(T)});
    } else {
      value.reserve(first_reserve<T>(in, count));
      read_elements<T>(in, count, [&value](auto& from) { value.push_back(codec::read<T>(from)); });
    }
    return value;
  }
};

// One byte per bool, each checked.
template <class A>
struct Format<std::vector<bool, A>> : Varying {
  using parts = Types<>;
  static constexpr std::size_t kMinBytes = sizeof(std::uint64_t);

  static void write(Writer& out, const std::vector<bool, A>& value) {
    out.count(value.size());
    std::byte* at = out.room(value.size());
    for (const bool element : value) *at++ = std::byte{element};
  }
  static std::vector<bool, A> read(Reader& in) {
    const std::size_t count = in.count<bool>();
    const std::byte* const from = in.raw(count);
    std::vector<bool, A> value(count);
    for (std::size_t i = 0; i < count; ++i) value[i] = checked_bool(from[i]);
    return value;
  }
};

// Sets arrive in order, so that each element belongs at the end; one that does not is put in its place all
// the same.
template <class Set>
struct SetFormat : SequenceFormat<Set> {
  using T = typename Set::value_type;

  static Set read(Reader& in) {
    Set value;
    read_elements<T>(in, in.count<T>(),
                     [&value](auto& from) { value.emplace_hint(value.end(), codec::read<T>(from)); });
    return value;
  }
};

template <class T, class C, class A>
struct Format<std::set<T, C, A>> : SetFormat<std::set<T, C, A>> {};
template <class T, class C, class A>
struct Format<std::multiset<T, C, A>> : SetFormat<std::multiset<T, C, A>> {};
template <class T, class H, class E, class A>
struct Format<std::unordered_set<T, H, E, A>> : SetFormat<std::unordered_set<T, H, E, A>> {};
template <class T, class H, class E, class A>
struct Format<std::unordered_multiset<T, H, E, A>> : SetFormat<std::unordered_multiset<T, H, E, A>> {};

template <class Map>
struct MapFormat : Varying {
  using Key = typename Map::key_type;
  using Mapped = typename Map::mapped_type;
  using Entry = std::pair<Key, Mapped>;
  using parts = Types<Key, Mapped>;
  static constexpr std::size_t kMinBytes = sizeof(std::uint64_t);

  static void write(Writer& out, const Map& value) { write_elements(out, value); }
  static Map read(Reader& in) {
    Map value;
    read_elements<Entry>(in, in.count<Entry>(),
                         [&value](auto& from) { value.insert(value.end(), codec::read<Entry>(from)); });
    return value;
  }
};

template <class K, class M, class C, class A>
struct Format<std::map<K, M, C, A>> : MapFormat<std::map<K, M, C, A>> {};
template <class K, class M, class C, class A>
struct Format<std::multimap<K, M, C, A>> : MapFormat<std::multimap<K, M, C, A>> {};
template <class K, class M, class H, class E, class A>
struct Format<std::unordered_map<K, M, H, E, A>> : MapFormat<std::unordered_map<K, M, H, E, A>> {};
template <class K, class M, class H, class E, class A>
struct Format<std::unordered_multimap<K, M, H, E, A>> : MapFormat<std::unordered_multimap<K, M, H, E, A>> {};

// stack, queue, priority_queue: the container inside, which they keep as the protected member c.
template <class Adaptor>
struct AdaptorFormat : Varying {
  using Container = typename Adaptor::container_type;
  using parts = Types<Container>;
  static constexpr std::size_t kMinBytes = sizeof(std::uint64_t);

  struct Open : Adaptor {
    static const Container& inside(const Adaptor& adaptor) { return adaptor.*(&Open::c); }
    static Container& inside(Adaptor& adaptor) { return adaptor.*(&Open::c); }
  };
  static void write(Writer& out, const Adaptor& value) { codec::write(out, Open::inside(value)); }
  static Adaptor read(Reader& in) {
    Adaptor value;
    Open::inside(value) = codec::read<Container>(in);
    return value;
  }
};

template <class T, class C>
struct Format<std::stack<T, C>> : AdaptorFormat<std::stack<T, C>> {};
template <class T, class C>
struct Format<std::queue<T, C>> : AdaptorFormat<std::queue<T, C>> {};
// A message could hold what is no heap: it is made one again.
template <class T, class C, class Less>
struct Format<std::priority_queue<T, C, Less>> : AdaptorFormat<std::priority_queue<T, C, Less>> {
  static std::priority_queue<T, C, Less> read(Reader& in) {
    return std::priority_queue<T, C, Less>(Less(), codec::read<C>(in));
  }
};

}  // namespace multiprocessing::codec

#pragma GCC visibility pop
