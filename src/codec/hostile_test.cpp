// Bytes that no encoder made: a message cut short, damaged or made up is an Error, whatever the type.  It is
// never a read past the end (run this under the address sanitizer), never a value that is none (undefined
// sanitizer), never an allocation that the bytes could not justify, never a stack overflow.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bitset>
#include <cereal/types/memory.hpp>
#include <cereal/types/polymorphic.hpp>
#include <complex>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include "codec/round_trip.hpp"
#include "multiprocessing/serialize.hpp"

namespace {

// The largest single allocation since reset: decoding is judged by it.
std::atomic<std::size_t> largest{0};

void* counted(std::size_t size) {
  std::size_t seen = largest.load();
  while (seen < size && !largest.compare_exchange_weak(seen, size)) {
  }
  void* const block = std::malloc(size != 0 ? size : 1);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

// Weak: ThreadSanitizer is linked with operators of its own, and then nothing is counted.
#define MP_WEAK __attribute__((weak))
MP_WEAK void* operator new(std::size_t size) { return counted(size); }
MP_WEAK void* operator new[](std::size_t size) { return counted(size); }
MP_WEAK void operator delete(void* block) noexcept { std::free(block); }
MP_WEAK void operator delete[](void* block) noexcept { std::free(block); }
MP_WEAK void operator delete(void* block, std::size_t) noexcept { std::free(block); }
MP_WEAK void operator delete[](void* block, std::size_t) noexcept { std::free(block); }

namespace multiprocessing::codec {
namespace {

using namespace std::string_literals;

enum class Flag : bool { off, on };

struct Point {
  int x;
  double y;
};
struct Wide {  // much larger in memory than in bytes
  std::optional<std::array<char, 4096>> room;
  std::uint8_t tag;
};
struct Job {
  int id;
  std::string name;
  std::vector<Point> points;
  std::map<std::string, std::vector<int>> table;
  std::optional<bool> flag;
};
struct Node {
  int value = 0;
  std::unique_ptr<Node> next;
  std::vector<Node> children;
};
struct Chain {
  std::unique_ptr<Chain> next;
};
struct Nest {
  std::vector<Nest> inside;
};
struct Empty {};
struct Own {
  std::string text;
  std::vector<int> numbers;
  template <class Archive>
  void serialize(Archive& ar) {
    ar(text, numbers);
  }
};
struct OwnChain {
  std::unique_ptr<OwnChain> next;
  template <class Archive>
  void serialize(Archive& ar) {
    ar(next);
  }
};
struct Nothing {
  template <class Archive>
  void serialize(Archive&) {}
  int value = 0;
};
struct Cycle {
  std::shared_ptr<Cycle> next;
  std::weak_ptr<int> number;
};
struct Shape {
  virtual ~Shape() = default;
  template <class Archive>
  void serialize(Archive&) {}
};
struct Circle : Shape {
  double radius = 1;
  template <class Archive>
  void serialize(Archive& ar) {
    ar(cereal::base_class<Shape>(this), radius);
  }
};

}  // namespace
}  // namespace multiprocessing::codec

CEREAL_REGISTER_TYPE(multiprocessing::codec::Circle)

namespace multiprocessing::codec {
namespace {

// No allocation of a decoder may be larger than this for a message of so many bytes: vectors double, elements
// have padding, hash tables have buckets, and an exception has its text.
std::size_t fair_share(std::size_t bytes) { return 4096 + 64 * bytes; }

// Decodes; an Error is as good as a value.  Anything else that leaves decode() fails the test.
template <class T>
bool decodes(std::span<const std::byte> bytes) {
  largest = 0;
  bool done = true;
  try {
    Decoder in(bytes);
    (void)decode<T>(in);
  } catch (const Error&) {
    done = false;
  }
  EXPECT_LE(largest.load(), fair_share(bytes.size()));
  return done;
}

template <class T>
class Hostile : public ::testing::Test {};

using Kinds = ::testing::Types<
    int, bool, Flag, std::string, std::u32string, std::filesystem::path, std::vector<bool>, std::vector<double>,
    std::vector<std::string>, std::deque<Point>, std::list<std::vector<int>>, std::set<std::string>,
    std::map<std::string, Job>, std::unordered_map<int, std::string>, std::optional<std::string>,
    std::variant<std::monostate, int, std::string, Job>, std::tuple<bool, std::bitset<13>, std::complex<float>>, Job,
    Node, Own, std::vector<Own>, std::shared_ptr<Node>, Cycle, std::vector<std::shared_ptr<std::string>>,
    std::array<std::string, 3>, std::priority_queue<int>, std::unique_ptr<Shape>, std::shared_ptr<Shape>>;

// A value with something in it.
template <class T>
T made() {
  if constexpr (std::is_same_v<T, int>) {
    return 0x01020304;
  } else if constexpr (std::is_same_v<T, bool>) {
    return true;
  } else if constexpr (std::is_same_v<T, Flag>) {
    return Flag::on;
  } else if constexpr (std::is_same_v<T, double>) {
    return 1.5;
  } else if constexpr (std::is_same_v<T, std::filesystem::path> || std::is_same_v<T, std::string>) {
    return "some text";
  } else if constexpr (std::is_same_v<T, std::u32string>) {
    return U"text";
  } else if constexpr (std::is_same_v<T, Point>) {
    return {1, 2};
  } else if constexpr (std::is_same_v<T, Job>) {
    return {1, "job", {{1, 2}}, {{"a", {1, 2}}, {"b", {}}}, true};
  } else if constexpr (std::is_same_v<T, Node>) {
    Node node{1, std::make_unique<Node>(), {}};
    node.children.push_back({2, nullptr, {}});
    return node;
  } else if constexpr (std::is_same_v<T, Own>) {
    return {"own", {1, 2, 3}};
  } else if constexpr (std::is_same_v<T, Cycle>) {
    const auto cycle = std::make_shared<Cycle>();
    return {std::make_shared<Cycle>(Cycle{cycle, {}}), {}};
  } else if constexpr (std::is_same_v<T, std::unique_ptr<Shape>>) {
    return std::make_unique<Circle>();
  } else if constexpr (std::is_same_v<T, std::shared_ptr<Shape>>) {
    return std::make_shared<Circle>();
  } else if constexpr (std::is_same_v<T, std::variant<std::monostate, int, std::string, Job>>) {
    return made<Job>();
  } else if constexpr (std::is_same_v<T, std::tuple<bool, std::bitset<13>, std::complex<float>>>) {
    return {true, std::bitset<13>(5), {1, 2}};
  } else if constexpr (std::is_same_v<T, std::priority_queue<int>>) {
    T heap;
    heap.push(3);
    return heap;
  } else if constexpr (requires { typename T::mapped_type; }) {
    T map;
    map.emplace(typename T::key_type(), made<typename T::mapped_type>());
    return map;
  } else if constexpr (requires(T t) { t.insert(t.end(), made<typename T::value_type>()); }) {
    T container;
    for (int i = 0; i < 3; ++i) container.insert(container.end(), made<typename T::value_type>());
    return container;
  } else if constexpr (requires { typename T::element_type; }) {
    return std::make_shared<typename T::element_type>(made<typename T::element_type>());
  } else if constexpr (requires(T t) { *t; }) {
    return made<std::decay_t<decltype(*std::declval<T&>())>>();
  } else {
    return {"a", "b", "c"};
  }
}

TYPED_TEST_SUITE(Hostile, Kinds);

TYPED_TEST(Hostile, EveryTruncationIsAnError) {
  const auto bytes = encoded(made<TypeParam>());
  EXPECT_TRUE(decodes<TypeParam>(bytes));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // A block of its own, so that the sanitizer sees a read beyond it.
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(decodes<TypeParam>(cut)) << "at " << size << " of " << bytes.size();
  }
}

TYPED_TEST(Hostile, DamagedMessagesAreValuesOrErrors) {
  const auto bytes = encoded(made<TypeParam>());
  std::mt19937 random(20240229);
  for (int round = 0; round < 2000; ++round) {
    auto damaged = bytes;
    for (auto changes = 1 + random() % 4; changes != 0; --changes) {
      const auto pattern = random() % 4;
      damaged[random() % damaged.size()] = static_cast<std::byte>(pattern == 0 ? 0xff : pattern == 1 ? 0 : random());
    }
    decodes<TypeParam>(damaged);
  }
}

TYPED_TEST(Hostile, RandomBytesAreValuesOrErrors) {
  std::mt19937 random(19700101);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> bytes(random() % 200);
    const bool small = random() % 2 == 0;  // small numbers get further into the format
    for (auto& byte : bytes) byte = static_cast<std::byte>(small ? random() % 3 : random());
    decodes<TypeParam>(bytes);
  }
}

std::vector<std::byte> count_only(std::uint64_t count) {
  std::vector<std::byte> bytes(sizeof count);
  std::memcpy(bytes.data(), &count, sizeof count);
  return bytes;
}

TEST(HostileCounts, AreNeverBelievedBeyondTheBytes) {
  for (const std::uint64_t count :
       {std::uint64_t{1}, std::uint64_t{1} << 20, std::uint64_t{1} << 40, std::uint64_t{1} << 61, ~std::uint64_t{0}}) {
    const auto bytes = count_only(count);
    EXPECT_FALSE(decodes<std::string>(bytes));
    EXPECT_FALSE(decodes<std::u32string>(bytes));
    EXPECT_FALSE(decodes<std::vector<int>>(bytes));
    EXPECT_FALSE(decodes<std::vector<bool>>(bytes));
    EXPECT_FALSE(decodes<std::vector<Wide>>(bytes));
    EXPECT_FALSE((decodes<std::map<int, int>>(bytes)));
    EXPECT_FALSE((decodes<std::unordered_map<std::string, int>>(bytes)));
  }
}

TEST(HostileCounts, OfElementsLargerThanTheirBytesReserveNoMoreThanTheBytesJustify) {
  auto bytes = count_only(1'000'000);
  bytes.resize(sizeof(std::uint64_t) + 2 * 1'000'000, std::byte{2});  // not an optional: an error at the first element
  EXPECT_FALSE(decodes<std::vector<Wide>>(bytes));
}

TEST(HostileCounts, OfElementsWithoutBytesAreBoundedOverTheWholeMessage) {
  EXPECT_THROW((void)decoded<std::vector<Empty>>(count_only(~std::uint64_t{0})), Error);
  EXPECT_THROW((void)decoded<std::vector<Nothing>>(count_only(kMaxWeightless + 1)), Error);
  EXPECT_EQ(decoded<std::vector<Nothing>>(count_only(10)).size(), 10U);
  // Two halves of more than the bound.
  auto bytes = count_only(2);
  for (int i = 0; i < 2; ++i) {
    const auto half = count_only(kMaxWeightless / 2 + 1);
    bytes.insert(bytes.end(), half.begin(), half.end());
  }
  EXPECT_THROW((void)decoded<std::vector<std::vector<Empty>>>(bytes), Error);
}

TEST(HostileDepth, OfAMillionPointersIsAnErrorAndNoStackOverflow) {
  const std::vector<std::byte> bytes(1'000'000, std::byte{1});
  EXPECT_FALSE(decodes<Chain>(bytes));
  EXPECT_FALSE(decodes<OwnChain>(bytes));
  std::vector<std::byte> nest;
  for (int i = 0; i < 100'000; ++i) {
    const auto one = count_only(1);
    nest.insert(nest.end(), one.begin(), one.end());
  }
  EXPECT_FALSE(decodes<Nest>(nest));
}

TEST(HostileValues, OutsideOfATypesRangeAreErrors) {
  EXPECT_THROW((void)decoded<bool>(bytes_of({2})), Error);
  EXPECT_THROW((void)decoded<Flag>(bytes_of({2})), Error);
  EXPECT_THROW((void)decoded<std::optional<int>>(bytes_of({255, 0, 0, 0, 0})), Error);
  EXPECT_THROW((void)decoded<std::unique_ptr<int>>(bytes_of({2, 0, 0, 0, 0})), Error);
  EXPECT_THROW((void)decoded<std::bitset<3>>(bytes_of({8})), Error);
  EXPECT_THROW((void)(decoded<std::variant<int, char>>(bytes_of({2, 0, 0, 0, 0, 0, 0, 0}))), Error);
}

TEST(HostileValues, SharedObjectsOfAnotherTypeOrOutOfOrderAreErrors) {
  using Both = std::tuple<std::shared_ptr<int>, std::shared_ptr<std::string>>;
  EXPECT_THROW((void)decoded<Both>(bytes_of({1, 0, 0, 0, 9, 9, 9, 9, 1, 0, 0, 0})), Error);
  EXPECT_THROW((void)decoded<std::shared_ptr<int>>(bytes_of({2, 0, 0, 0, 9, 9, 9, 9})), Error);
}

}  // namespace
}  // namespace multiprocessing::codec
