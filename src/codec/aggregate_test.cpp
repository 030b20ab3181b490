// The members of aggregates are counted right, whatever they are.  Everything here is known at compile time:
// that this file compiles is the test; what it runs only shows that the count is used in order.
#include "multiprocessing/detail/aggregate.hpp"

#include <gtest/gtest.h>

#include <any>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "codec/round_trip.hpp"

namespace multiprocessing::codec {
namespace {

struct Pair {
  int a;
  int b;
};
struct Explicit {  // no default constructor, and none that converts
  explicit Explicit(int);
};

struct None {};
static_assert(field_count<None> == 0);

struct One {
  int a;
};
static_assert(field_count<One> == 1);

struct PathFirst {
  std::filesystem::path path;
  int b;
};
static_assert(field_count<PathFirst> == 2);

struct Times {
  std::chrono::system_clock::time_point point;
  std::chrono::milliseconds duration;
  int c;
};
static_assert(field_count<Times> == 3);

struct Sums {
  std::optional<std::filesystem::path> a;
  std::optional<int> b;
  std::variant<int, std::string> c;
  std::variant<std::monostate, std::filesystem::path> d;
  std::any e;
  std::function<void()> f;
};
static_assert(field_count<Sums> == 6);

struct StdArrays {
  std::array<int, 3> a;
  std::array<Pair, 2> b;
  int c;
};
static_assert(field_count<StdArrays> == 3);

struct CArrays {
  int a[3];
  int b;
  int c[2][3];
  std::string d;
  Pair e[2];
  char f[1];
};
static_assert(field_count<CArrays> == 6);
static_assert(std::is_same_v<fields_of<CArrays>, Types<int[3], int, int[2][3], std::string, Pair[2], char[1]>>);

struct LongArray {
  int a;
  char b[4096];
  std::string c;
};
static_assert(field_count<LongArray> == 3);

struct NestedAggregates {  // brace elision must not flatten them
  Pair a;
  Pair b;
  int c;
};
static_assert(field_count<NestedAggregates> == 3);

struct NoDefault {
  int a[5];
  Explicit b;
  int c[3];
};
static_assert(field_count<NoDefault> == 3);

struct NoDefaultLast {
  int a;
  char b[40];
  Explicit c;
};
static_assert(field_count<NoDefaultLast> == 3);

struct Immovable {
  std::mutex a;
  std::atomic<int> b;
  int c;
};
static_assert(field_count<Immovable> == 3);

struct Recursive {
  std::unique_ptr<Recursive> a;
  std::vector<Recursive> b;
  std::map<std::string, Recursive> c;
  Recursive* d;
};
static_assert(field_count<Recursive> == 4);

struct Assorted {
  enum Kind { kind } a;
  const int b = 3;
  std::string_view c;
  const char* d;
  void (*e)(int);
  std::shared_ptr<int> f;
  std::tuple<> g;
  None h;
  std::tuple<int, int> i;
  std::pair<int, std::string> j;
  std::vector<bool> k;
  std::u16string l;
  std::vector<std::string> m;
};
static_assert(field_count<Assorted> == 13);

struct ConstReferences {  // counted, so that the member's type can be named as the reason
  const int& a;
  std::string&& b;
};
static_assert(std::is_same_v<fields_of<ConstReferences>, Types<const int&, std::string&&>>);

struct Reference {
  int a;
  int& b;
};
static_assert(field_count<Reference> == probe::kUncountable);

struct Inheriting : Pair {
  int c;
};
struct InheritingNothing : None {
  int c;
};
static_assert(has_base<Inheriting> && has_base<InheritingNothing>);
static_assert(!has_base<NestedAggregates> && !has_base<None> && !has_base<Recursive>);

struct Widest {
  int a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9;
  int c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, d0, d1;
};
struct TooWide {
  Widest a;
  int b;
};
struct OneMore {
  int a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9;
  int c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, d0, d1, d2;
};
static_assert(field_count<Widest> == kMaxFields && sendable<Widest> && sendable<TooWide>);
static_assert(field_count<OneMore> == kMaxFields + 1 && !sendable<OneMore>);

TEST(Aggregates, AreVisitedInTheOrderOfDeclaration) {
  Pair pair{1, 2};
  visit_fields<2>(pair, []<class... M>(auto& a, auto& b) {
    static_assert(std::is_same_v<Types<M...>, Types<int, int>>);
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, 2);
    b = 3;
  });
  EXPECT_EQ(pair.b, 3);
}

TEST(Aggregates, OfTheGreatestWidthKeepEveryMember) {
  Widest widest{};
  widest.a0 = 1;
  widest.d1 = 2;
  const Widest copy = round_trip(widest);
  EXPECT_EQ(copy.a0, 1);
  EXPECT_EQ(copy.d1, 2);
}

TEST(Aggregates, WithCArraysKeepEveryElement) {
  const CArrays copy = round_trip(CArrays{{1, 2, 3}, 4, {{5, 6, 7}, {8, 9, 10}}, "text", {{11, 12}, {13, 14}}, {'x'}});
  EXPECT_EQ(copy.a[2], 3);
  EXPECT_EQ(copy.c[1][2], 10);
  EXPECT_EQ(copy.d, "text");
  EXPECT_EQ(copy.e[1].b, 14);
  EXPECT_EQ(copy.f[0], 'x');
}

}  // namespace
}  // namespace multiprocessing::codec
