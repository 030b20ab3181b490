// What goes in comes out: every kind of type that can be sent, and the buffers themselves.
#include "multiprocessing/detail/archive.hpp"

#include <gtest/gtest.h>

#include <any>
#include <bitset>
#include <cereal/types/valarray.hpp>
#include <chrono>
#include <cmath>
#include <complex>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <set>
#include <stack>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <valarray>
#include <variant>
#include <vector>

#include "codec/round_trip.hpp"
#include "multiprocessing/serialize.hpp"

namespace multiprocessing::codec {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

// ---- Types that tests send ----

enum class Colour : std::uint8_t { red, green };
enum Plain { zero, one };

struct Point {
  int x;
  double y;
  bool operator==(const Point&) const = default;
};

struct Job {
  int id;
  std::filesystem::path file;
  double weights[3];
  std::vector<Point> points;
  std::optional<std::string> note;
  Colour colour = Colour::red;
  bool operator==(const Job&) const = default;
};

struct Constant {
  const int id;
  const std::string name;
  bool operator==(const Constant&) const = default;
};

struct Node {
  int value = 0;
  std::unique_ptr<Node> next;
  std::vector<Node> children;
};

struct Empty {
  bool operator==(const Empty&) const = default;
};

class Account {
 public:
  Account() = default;
  Account(std::string owner, long balance) : owner_(std::move(owner)), balance_(balance) {}
  bool operator==(const Account&) const = default;

 private:
  friend class cereal::access;
  template <class Archive>
  void serialize(Archive& ar) {
    ar(CEREAL_NVP(owner_), balance_);
  }
  std::string owner_;
  long balance_ = 0;
};

class Split {
 public:
  Split() = default;
  explicit Split(int v) : value_(v) {}
  template <class Archive>
  void save(Archive& ar) const {
    ar << value_;
  }
  template <class Archive>
  void load(Archive& ar) {
    ar >> value_;
  }
  bool operator==(const Split&) const = default;

 private:
  int value_ = 0;
};

struct Minimal {
  std::string text;
  template <class Archive>
  std::string save_minimal(const Archive&) const {
    return text;
  }
  template <class Archive>
  void load_minimal(const Archive&, const std::string& t) {
    text = t;
  }
  bool operator==(const Minimal&) const = default;
};

struct Outside {
  explicit Outside(int v = 0) : value(v) {}
  int value;
  bool operator==(const Outside&) const = default;
};
template <class Archive>
void serialize(Archive& ar, Outside& outside) {
  ar& outside.value;
}

struct Versioned {
  int value = 0;
  template <class Archive>
  void serialize(Archive& ar, std::uint32_t version) {
    EXPECT_EQ(version, 7U);
    ar(value);
  }
  bool operator==(const Versioned&) const = default;
};

struct Base {
  int base = 0;
  bool operator==(const Base&) const = default;
};
struct Derived : Base {
  std::string own;
  template <class Archive>
  void serialize(Archive& ar) {
    ar(cereal::base_class<Base>(this), own);
  }
  bool operator==(const Derived&) const = default;
};

struct Deferring {
  std::string first, last;
  template <class Archive>
  void serialize(Archive& ar) {
    ar(cereal::defer(last), first);
    ar.serializeDeferments();
  }
  bool operator==(const Deferring&) const = default;
};

struct Throws {
  template <class Archive>
  void save(Archive& ar) const {
    ar(std::string(1000, 'x'));
    throw std::domain_error("this value will not go");
  }
  template <class Archive>
  void load(Archive&) {}
};

struct Fussy {
  Fussy() = default;
  explicit Fussy(int) { throw std::domain_error("no"); }
  template <class Archive>
  void serialize(Archive& ar) {
    ar(text);
  }
  std::string text;
};

struct Tree {
  std::string name;
  std::vector<std::shared_ptr<Tree>> children;
  std::weak_ptr<Tree> parent;
};

struct Pointing {
  int* pointer;
};
struct Locked {
  std::mutex mutex;
};
struct Derivative : Base {
  int more;
};
struct Unconstructible {
  explicit Unconstructible(int) {}
  template <class Archive>
  void serialize(Archive&) {}
};
struct Virtual {
  virtual ~Virtual() = default;
};
union Either {
  int i;
  float f;
};

}  // namespace
}  // namespace multiprocessing::codec

CEREAL_CLASS_VERSION(multiprocessing::codec::Versioned, 7)

namespace multiprocessing::codec {
namespace {

// ---- What is sendable ----

static_assert(sendable<int> && sendable<bool> && sendable<char32_t> && sendable<long double> && sendable<Colour>);
static_assert(sendable<std::string> && sendable<std::u16string> && sendable<std::filesystem::path>);
static_assert(sendable<Job> && sendable<Node> && sendable<Empty> && sendable<Constant> && sendable<Tree>);
static_assert(sendable<Account> && sendable<Split> && sendable<Minimal> && sendable<Outside> && sendable<Versioned>);
static_assert(sendable<std::map<std::string, std::vector<std::optional<Account>>>>);
static_assert(sendable<std::valarray<double>>);  // by cereal's own header
static_assert(sendable<decltype([](int x) { return x; })>);
static_assert(sendable<const int> && sendable<int[3]>);

static_assert(!sendable<int*> && !sendable<int&> && !sendable<void (*)()> && !sendable<std::nullptr_t>);
static_assert(!sendable<int Point::*> && !sendable<void>);
static_assert(!sendable<std::string_view> && !sendable<std::span<int>> && !sendable<std::initializer_list<int>>);
static_assert(!sendable<std::mutex> && !sendable<std::function<void()>> && !sendable<Locked> && !sendable<Either>);
static_assert(!sendable<Pointing> && !sendable<Derivative> && !sendable<Unconstructible>);
static_assert(!sendable<std::vector<int*>> && !sendable<std::map<int, Pointing>> && !sendable<std::optional<Pointing>>);
static_assert(!sendable<std::tuple<int, std::string_view>> && !sendable<std::variant<int, char*>>);
static_assert(!sendable<std::unique_ptr<int[]>> && !sendable<std::unique_ptr<Virtual>>);
static_assert(!sendable<std::shared_ptr<void>> && !sendable<std::vector<std::unique_ptr<Pointing>>>);

// ---- What is known of types ----

static_assert(fixed_bytes<Point>() == 12 && !dense<Point>());  // four bytes of padding do not travel
static_assert(dense<std::array<std::complex<float>, 4>>() && dense<std::chrono::nanoseconds>());
static_assert(!dense<bool>() && !dense<std::array<bool, 2>>() && fixed_bytes<std::array<bool, 2>>() == 2);
static_assert(fixed_bytes<std::tuple<char, int>>() == 5 && fixed_bytes<std::string>() == kVaries);
static_assert(min_bytes<Job>() == 4 + 8 + 24 + 8 + 1 + 1 && min_bytes<Account>() == 0);

template <class T>
void expect_round_trip(const T& value) {
  EXPECT_TRUE(round_trip(value) == value);
}

TEST(RoundTrip, OfArithmeticTypesKeepsEveryValue) {
  expect_round_trip(true);
  expect_round_trip('x');
  expect_round_trip(std::numeric_limits<std::int64_t>::min());
  expect_round_trip(std::numeric_limits<std::uint64_t>::max());
  expect_round_trip(3.25F);
  expect_round_trip(std::numeric_limits<double>::denorm_min());
  expect_round_trip(1.5L);
  expect_round_trip(U'\U0001F600');
  EXPECT_TRUE(std::signbit(round_trip(-0.0)));
}

TEST(RoundTrip, OfEnumsKeepsTheValue) {
  expect_round_trip(Colour::green);
  expect_round_trip(one);
  expect_round_trip(std::byte{200});
}

TEST(RoundTrip, OfStringsKeepsZerosAndEveryWidth) {
  expect_round_trip(""s);
  expect_round_trip("with\0zero"s);
  expect_round_trip(std::string(100'000, 'x'));
  expect_round_trip(u"sixteen"s);
  expect_round_trip(U"thirty-two"s);
  expect_round_trip(L"wide"s);
  expect_round_trip(u8"eight"s);
  expect_round_trip(std::filesystem::path("/tmp/a b"));
}

TEST(RoundTrip, OfVectorsKeepsEveryKindOfElement) {
  expect_round_trip(std::vector<int>{});
  expect_round_trip(std::vector<double>(10'000, 1.5));
  expect_round_trip(std::vector<std::byte>(3, std::byte{7}));
  expect_round_trip(std::vector<bool>{true, false, true});
  expect_round_trip(std::vector<Point>{{1, 2}, {3, 4}});
  expect_round_trip(std::vector<std::string>{"a", "", "c"});
  expect_round_trip(std::vector<std::vector<int>>{{1}, {}, {2, 3}});
  expect_round_trip(std::vector<Empty>(1000));
  expect_round_trip(std::vector<Account>{{"a", 1}, {"b", 2}});
}

TEST(RoundTrip, OfSequencesAndAdaptorsKeepsTheOrder) {
  expect_round_trip(std::deque<int>{1, 2, 3});
  expect_round_trip(std::list<std::string>{"x", "y"});
  expect_round_trip(std::array<std::string, 2>{"x", "y"});
  expect_round_trip(std::array<int, 0>{});
  expect_round_trip(std::stack<int>(std::deque<int>{1, 2}));
  expect_round_trip(std::queue<std::string>(std::deque<std::string>{"a", "b"}));
  auto heap = round_trip(std::priority_queue<int>(std::less<int>(), std::vector<int>{3, 9, 4}));
  EXPECT_EQ(heap.top(), 9);
}

TEST(RoundTrip, OfSetsAndMapsKeepsTheElements) {
  expect_round_trip(std::set<int>{3, 1, 2});
  expect_round_trip(std::multiset<std::string>{"a", "a"});
  expect_round_trip(std::unordered_set<int>{5, 6});
  expect_round_trip(std::unordered_multiset<int>{5, 5});
  expect_round_trip(std::map<int, int>{{1, 2}, {3, 4}});
  expect_round_trip(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
  expect_round_trip(std::multimap<int, Point>{{1, {1, 1}}, {1, {2, 2}}});
  expect_round_trip(std::unordered_map<std::string, int>{{"x", 1}});
  expect_round_trip(std::unordered_multimap<int, std::string>{{1, "x"}, {1, "y"}});
}

TEST(RoundTrip, OfSumsAndProductsKeepsTheAlternative) {
  expect_round_trip(std::optional<int>{});
  expect_round_trip(std::optional<std::string>{"x"});
  expect_round_trip(std::optional<std::optional<int>>{std::optional<int>{}});
  expect_round_trip(std::variant<std::monostate, int, std::string>{});
  expect_round_trip(std::variant<std::monostate, int, std::string>{"text"});
  expect_round_trip(std::variant<int, int>{std::in_place_index<1>, 5});
  expect_round_trip(std::pair<int, std::string>{1, "x"});
  expect_round_trip(std::tuple<>{});
  expect_round_trip(std::tuple<char, double, std::vector<int>>{'x', 1, {2}});
}

TEST(RoundTrip, OfTimesComplexNumbersAndBitsKeepsThem) {
  expect_round_trip(5ms);
  expect_round_trip(std::chrono::duration<double>(1.5));
  expect_round_trip(std::chrono::system_clock::now());
  expect_round_trip(std::complex<double>(1, -1));
  expect_round_trip(std::bitset<3>("101"));
  expect_round_trip(std::bitset<130>().set(129).set(0));
  EXPECT_EQ(encoded(std::bitset<9>()).size(), 2U);
}

TEST(RoundTrip, OfAggregatesNeedsNoCode) {
  expect_round_trip(Point{1, 2});
  expect_round_trip(Job{1, "/etc/passwd", {1, 2, 3}, {{1, 2}}, "note", Colour::green});
  expect_round_trip(Constant{1, "name"});
  expect_round_trip(Empty{});
  EXPECT_EQ(encoded(Empty{}).size(), 0U);
}

TEST(RoundTrip, OfCerealTypesCallsTheirFunctions) {
  expect_round_trip(Account("me", 5));
  expect_round_trip(Split(5));
  expect_round_trip(Minimal{"text"});
  expect_round_trip(Outside(5));
  expect_round_trip(std::vector<Versioned>{{1}, {2}});
  expect_round_trip(Deferring{"first", "last"});
  Derived derived;
  derived.base = 1;
  derived.own = "own";
  expect_round_trip(derived);
}

TEST(RoundTrip, OfTypesFromCerealsOtherHeadersWorks) {
  const auto copy = round_trip(std::valarray<double>{1, 2, 3});
  ASSERT_EQ(copy.size(), 3U);
  EXPECT_EQ(copy[2], 3);
}

TEST(RoundTrip, OfUniquePointersCopiesWhatTheyOwn) {
  EXPECT_EQ(round_trip(std::unique_ptr<int>()), nullptr);
  EXPECT_EQ(*round_trip(std::make_unique<std::string>("x")), "x");
  EXPECT_EQ(*round_trip(std::unique_ptr<const int>(new int(5))), 5);
  Node node{1, std::make_unique<Node>(Node{2, nullptr, {}}), {}};
  node.children.push_back({3, std::make_unique<Node>(), {}});
  const Node copy = round_trip(node);
  EXPECT_EQ(copy.next->value, 2);
  EXPECT_NE(copy.children.at(0).next, nullptr);
}

TEST(RoundTrip, OfSharedPointersSharesAgain) {
  const auto shared = std::make_shared<std::string>("once");
  const std::vector<std::shared_ptr<std::string>> many{shared, nullptr, shared, std::make_shared<std::string>("two")};
  const auto copy = round_trip(many);
  EXPECT_EQ(copy[0], copy[2]);
  EXPECT_EQ(copy[1], nullptr);
  EXPECT_EQ(*copy[3], "two");
  EXPECT_NE(copy[0], shared);
}

TEST(RoundTrip, OfATreeWithParentPointersRestoresThem) {
  const auto root = std::make_shared<Tree>(Tree{"root", {}, {}});
  root->children.push_back(std::make_shared<Tree>(Tree{"leaf", {}, root}));
  const auto copy = round_trip(root);
  EXPECT_EQ(copy->children.at(0)->parent.lock(), copy);
}

TEST(RoundTrip, OfAPointerToTheFirstMemberIsNotTakenForOneToTheWhole) {
  const auto whole = std::make_shared<Point>(Point{1, 2});
  const std::tuple<std::shared_ptr<Point>, std::shared_ptr<int>> both{whole, {whole, &whole->x}};
  const auto copy = round_trip(both);
  EXPECT_EQ(*std::get<1>(copy), 1);
}

// docs/formats/messages.md
TEST(Format, IsAsItsManualSays) {
  struct Example {
    std::uint16_t id;
    std::optional<bool> urgent;
    std::string name;
    std::vector<std::shared_ptr<int>> shared;
  };
  const auto p = std::make_shared<int>(7);
  EXPECT_EQ(encoded(Example{258, true, "ab", {p, nullptr, p}}), bytes_of({2, 1,                              // id
                                                                          1, 1,                              // urgent
                                                                          2, 0, 0, 0, 0, 0, 0, 0, 'a', 'b',  // name
                                                                          3, 0, 0, 0, 0, 0, 0, 0,            // shared
                                                                          1, 0, 0, 0, 7, 0, 0, 0,  // met first
                                                                          0, 0, 0, 0, 1, 0, 0, 0}));
}

TEST(Format, OfPaddedStructsCarriesNoPadding) { EXPECT_EQ(encoded(Point{1, 2}).size(), 12U); }

// ---- Encoder and Decoder ----

TEST(Encoder, KeepsItsMemoryAcrossClear) {
  Encoder out;
  encode(out, std::string(1000, 'x'));
  const std::byte* const before = out.bytes().data();
  out.clear();
  EXPECT_EQ(out.size(), 0U);
  encode(out, std::string(1000, 'y'));
  EXPECT_EQ(out.bytes().data(), before);
}

TEST(Encoder, IsAsItWasWhenASerializerThrows) {
  Encoder out;
  encode(out, 5);
  EXPECT_THROW(encode(out, Throws{}), std::domain_error);
  EXPECT_THROW(encode(out, (std::vector<Throws>(2))), std::domain_error);
  EXPECT_EQ(out.size(), sizeof(int));
  encode(out, 6);
  Decoder in(out.bytes());
  EXPECT_EQ(decode<int>(in), 5);
  EXPECT_EQ(decode<int>(in), 6);
}

TEST(Encoder, RefusesAValuelessVariant) {
  std::variant<std::string, Fussy> variant("x");
  EXPECT_ANY_THROW(variant.emplace<1>(5));
  ASSERT_TRUE(variant.valueless_by_exception());
  Encoder out;
  EXPECT_THROW(encode(out, variant), NotSendable);
  EXPECT_EQ(out.size(), 0U);
}

TEST(Encoder, RefusesMoreElementsThanADecoderAcceptsForNoBytes) {
  Encoder out;
  encode(out, std::vector<Empty>(kMaxWeightless));
  EXPECT_EQ(decoded<std::vector<Empty>>(out.bytes()).size(), kMaxWeightless);
  EXPECT_THROW(encode(out, (std::vector<Empty>(kMaxWeightless + 1))), NotSendable);
}

TEST(Encoder, RefusesWhatIsNestedTooDeepForADecoder) {
  const auto chain = [](unsigned depth) {
    Node node;
    for (unsigned i = 0; i < depth; ++i) node.next = std::make_unique<Node>(Node{0, std::move(node.next), {}});
    return node;
  };
  Encoder out;
  encode(out, chain(kMaxDepth - 1));
  (void)decoded<Node>(out.bytes());
  out.clear();
  EXPECT_THROW(encode(out, chain(kMaxDepth + 1)), NotSendable);
  EXPECT_EQ(out.size(), 0U);
}

TEST(Encoder, MovesWithItsBytes) {
  Encoder out;
  encode(out, "text"s);
  Encoder other = std::move(out);
  EXPECT_EQ(decoded<std::string>(other.bytes()), "text");
}

TEST(Decoder, ReadsOneValueAfterAnother) {
  Encoder out;
  encode(out, 1);
  encode(out, "two"s);
  encode(out, Point{3, 4});
  Decoder in(out.bytes());
  EXPECT_EQ(decode<int>(in), 1);
  EXPECT_EQ(decode<std::string>(in), "two");
  EXPECT_EQ(decode<Point>(in), (Point{3, 4}));
  EXPECT_EQ(in.remaining(), 0U);
  EXPECT_THROW(in.take(1), Error);
}

// ---- Handles ----

class Handle {
 public:
  Handle() { ADD_FAILURE() << "a default-constructed handle makes an object that nobody wants"; }
  explicit Handle(Undecoded) noexcept {}
  explicit Handle(memory::Ref ref) : ref_(std::move(ref)) {}
  template <class Archive>
  void save(Archive& ar) const {
    ar.carry(ref_);
  }
  template <class Archive>
  void load(Archive& ar) {
    ref_ = ar.adopt();
  }
  [[nodiscard]] const memory::Ref& ref() const { return ref_; }

 private:
  memory::Ref ref_;
};
static_assert(sendable<Handle> && is_handle<Handle> && !is_handle<std::any>);

TEST(Handles, TravelInsideAMessage) {
  const Handle handle(memory::Ref::create(memory::Kind::block, 64));
  const auto copy = round_trip(std::map<std::string, std::vector<Handle>>{{"x", {handle}}});
  EXPECT_EQ(copy.at("x").at(0).ref(), handle.ref());
}

TEST(Handles, AreHeldByTheEncoderUntilItIsClearedOrRolledBack) {
  const Handle handle(memory::Ref::create(memory::Kind::block, 64));
  Encoder out;
  encode(out, handle);
  const std::size_t size = out.size();
  EXPECT_EQ(size, sizeof(std::uint64_t));
  ASSERT_EQ(out.carried().size(), 1U);
  EXPECT_EQ(out.carried()[0], handle.ref());
  EXPECT_THROW(encode(out, (std::tuple<Handle, Throws>(handle, Throws{}))), std::domain_error);
  EXPECT_EQ(out.size(), size);
  EXPECT_EQ(out.carried().size(), 1U);
  out.clear();
  EXPECT_TRUE(out.carried().empty());
}

// ---- Bulk ----

static_assert(is_bulk<std::string> && is_bulk<std::vector<double>> && is_bulk<std::vector<std::array<float, 3>>>);
static_assert(is_bulk<std::u16string> && is_bulk<std::vector<std::byte>>);
static_assert(!is_bulk<std::vector<bool>> && !is_bulk<std::vector<Point>> && !is_bulk<std::vector<std::string>>);
static_assert(!is_bulk<int> && !is_bulk<std::vector<int*>> && !is_bulk<std::deque<int>>);

template <class T>
void expect_bulk_round_trip(const T& value) {
  std::vector<std::byte> shifted(1);  // a message need not be aligned
  const auto bytes = bulk_bytes(value);
  shifted.insert(shifted.end(), bytes.begin(), bytes.end());
  T copy;
  bulk_reserve(copy, bytes.size());
  const auto* const room = copy.data();
  bulk_assign(copy, bytes);
  EXPECT_EQ(copy, value);
  EXPECT_EQ(copy.data(), room);
  bulk_assign(copy, std::span<const std::byte>(shifted).subspan(1));
  EXPECT_EQ(copy, value);
  EXPECT_EQ(copy.data(), room);
  bulk_assign(copy, {});
  EXPECT_TRUE(copy.empty());
}

TEST(Bulk, MessagesAreTheElementsAndAreAssignedInPlace) {
  expect_bulk_round_trip("some text that is longer than the small string buffer"s);
  expect_bulk_round_trip(u"sixteen bits a character, and long enough"s);
  expect_bulk_round_trip(std::vector<double>{1, 2, 3});
  expect_bulk_round_trip(std::vector<std::array<float, 3>>{{1, 2, 3}, {4, 5, 6}});
  EXPECT_EQ(bulk_bytes("text"s).size(), 4U);
}

}  // namespace
}  // namespace multiprocessing::codec
