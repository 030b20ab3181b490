// The decoders of values.
//
// input = type u8, bytes of a message.  What can be decoded can be encoded, and decoded again to the same bytes.
#include <array>
#include <bitset>
#include <complex>
#include <deque>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>

#include "fuzz/fuzz.hpp"
#include "multiprocessing/serialize.hpp"

namespace {

using namespace multiprocessing;
using fuzz::Bytes;

enum class Colour : std::uint8_t { red, green };

struct Point {
  int x = 0;
  double y = 0;
};
struct Job {
  int id = 0;
  std::string name;
  std::vector<Point> points;
  std::map<std::string, std::vector<int>> table;
  std::optional<bool> flag;
  std::array<Colour, 2> colours{};
};
struct Node {
  int value = 0;
  std::unique_ptr<Node> next;
  std::vector<Node> children;
};
// Not of itself: a message can make a ring of such values, which is a value and never freed (SECURITY.md).
struct Shared {
  std::shared_ptr<std::vector<std::shared_ptr<int>>> list;
  std::vector<std::shared_ptr<int>> numbers;
};
struct Own {
  std::string text;
  std::vector<std::vector<bool>> bits;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(text, bits);
  }
};

using Kinds =
    std::tuple<bool, int, std::string, std::u32string, std::vector<double>, std::vector<std::string>,
               std::vector<std::vector<std::vector<std::string>>>, std::deque<Point>, std::list<std::vector<int>>,
               std::set<std::string>, std::map<std::string, Job>, std::unordered_map<int, std::string>,
               std::optional<std::optional<std::string>>, std::variant<std::monostate, int, std::string, Job>,
               std::tuple<bool, std::bitset<13>, std::complex<float>>, Job, Node, Shared, Own, std::vector<Own>,
               std::shared_ptr<Node>, std::priority_queue<int>, std::filesystem::path,
               std::pair<std::multimap<int, char>, std::array<std::string, 3>>>;

template <class T>
Bytes encoded(const T& value) {
  codec::Encoder out;
  codec::encode(out, value);
  return {out.bytes().begin(), out.bytes().end()};
}

template <class T>
void decode_twice(std::span<const std::byte> bytes) {
  try {
    codec::Decoder in(bytes);
    const T value = codec::decode<T>(in);
    const Bytes once = encoded(value);
    codec::Decoder again(once);
    const T copy = codec::decode<T>(again);
    FUZZ_REQUIRE(again.remaining() == 0);
    // A hash table's order may be another one.
    if constexpr (!std::is_same_v<T, std::unordered_map<int, std::string>>) FUZZ_REQUIRE(encoded(copy) == once);
  } catch (const Error&) {
  }
}

template <std::size_t... I>
void decode_as(std::size_t kind, std::span<const std::byte> bytes, std::index_sequence<I...>) {
  ((I == kind ? decode_twice<std::tuple_element_t<I, Kinds>>(bytes) : void()), ...);
}

template <std::size_t... I>
fuzz::Seeds empty_values(std::index_sequence<I...>) {
  fuzz::Seeds all;
  ((all.push_back({std::byte{I}}), fuzz::append(all.back(), encoded(std::tuple_element_t<I, Kinds>()))), ...);
  return all;
}

template <class T>
Bytes seed(std::uint8_t kind, const T& value) {
  static_assert(!std::is_reference_v<T>);
  Bytes bytes{static_cast<std::byte>(kind)};
  fuzz::append(bytes, encoded(value));
  return bytes;
}

constexpr auto kinds = std::make_index_sequence<std::tuple_size_v<Kinds>>();

}  // namespace

FUZZ_TARGET(bytes) {
  Input input(bytes);
  const std::size_t kind = input.byte() % std::tuple_size_v<Kinds>;
  decode_as(kind, input.rest(), kinds);
}

FUZZ_SEEDS() {
  Seeds all = empty_values(kinds);
  const Job job{1, "job", {{1, 2}, {3, 4}}, {{"a", {1, 2}}, {"b", {}}}, true, {Colour::red, Colour::green}};
  all.push_back(seed(10, std::map<std::string, Job>{{"one", job}}));
  all.push_back(seed(6, std::vector<std::vector<std::vector<std::string>>>{{{"a"}, {}}, {}}));
  all.push_back(seed(13, std::variant<std::monostate, int, std::string, Job>(job)));
  Node node{1, std::make_unique<Node>(), {}};
  node.children.push_back({2, nullptr, {}});
  all.push_back(seed(16, node));
  const auto number = std::make_shared<int>(5);
  all.push_back(seed(17, Shared{std::make_shared<std::vector<std::shared_ptr<int>>>(2, number), {number, number}}));
  all.push_back(seed(18, Own{"own", {{true, false}, {}}}));
  return all;
}
