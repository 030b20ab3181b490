// Dicts, lists, arrays, values and namespaces of a manager.
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "manager/client.hpp"
#include "manager/manager_test_support.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/queue.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::test;

namespace {

using Dict = mp::DictProxy<std::string, int>;

class DictTest : public EveryWay {
 protected:
  Dict dict_ = objects_->dict<std::string, int>();
};
FOR_EVERY_WAY(DictTest);

TEST_P(DictTest, GivesWhatWasSet) {
  dict_.set("a", 1);
  EXPECT_EQ(dict_.at("a"), 1);
  EXPECT_EQ(dict_.get("a"), 1);
  EXPECT_TRUE(dict_.contains("a"));
  EXPECT_EQ(dict_.size(), 1U);
}
TEST_P(DictTest, AKeyThatIsNotThereIsOutOfRange) {
  EXPECT_THROW(static_cast<void>(dict_.at("a")), std::out_of_range);
  EXPECT_EQ(dict_.get("a"), std::nullopt);
  EXPECT_EQ(dict_.get("a", 7), 7);
  EXPECT_FALSE(dict_.contains("a"));
  EXPECT_THROW(dict_.update("a", [](int& n) { ++n; }), std::out_of_range);
}
TEST_P(DictTest, EraseAndPopTakeAKeyAway) {
  dict_.set("a", 1);
  dict_.set("b", 2);
  EXPECT_TRUE(dict_.erase("a"));
  EXPECT_FALSE(dict_.erase("a"));
  EXPECT_EQ(dict_.pop("b"), 2);
  EXPECT_EQ(dict_.pop("b"), std::nullopt);
  EXPECT_TRUE(dict_.empty());
}
TEST_P(DictTest, SetdefaultKeepsWhatIsThere) {
  EXPECT_EQ(dict_.setdefault("a", 1), 1);
  EXPECT_EQ(dict_.setdefault("a", 2), 1);
}
TEST_P(DictTest, ItemsComeInTheOrderOfTheirInsertion) {
  for (const char* name : {"c", "a", "b"}) dict_.set(name, 0);
  dict_.set("c", 1);
  EXPECT_EQ(dict_.keys(), (std::vector<std::string>{"c", "a", "b"}));
  EXPECT_EQ(dict_.items().front(), (std::pair<std::string, int>{"c", 1}));
  EXPECT_EQ(dict_.values(), (std::vector<int>{1, 0, 0}));
  EXPECT_EQ(dict_.copy(), (std::map<std::string, int>{{"a", 0}, {"b", 0}, {"c", 1}}));
}
TEST_P(DictTest, UpdateTakesManyEntriesAtOnce) {
  dict_.update(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  EXPECT_EQ(dict_.size(), 2U);
  dict_.clear();
  EXPECT_EQ(dict_.size(), 0U);
}
TEST_P(DictTest, UpdateGivesWhatTheFunctionReturns) {
  dict_.set("a", 1);
  EXPECT_EQ(dict_.update("a", [](int& n) { return n++; }), 1);
  EXPECT_EQ(dict_.at("a"), 2);
  dict_.update("b", [](int& n) { n += 5; }, 10);
  EXPECT_EQ(dict_.at("b"), 15);
}
TEST_P(DictTest, AnUpdateThatThrowsChangesNothing) {
  dict_.set("a", 1);
  EXPECT_THROW(dict_.update("a",
                            [](int& n) {
                              n = 2;
                              throw std::runtime_error("no");
                            }),
               std::runtime_error);
  EXPECT_EQ(dict_.at("a"), 1);
  dict_.set("a", 3);  // it is not reserved any more
  EXPECT_EQ(dict_.at("a"), 3);
}
TEST_P(DictTest, UpdatesOfSeveralProcessesLoseNothing) {
  dict_.set("a", 0);
  const auto add = [](const Dict& dict) {
    for (int i = 0; i < 200; ++i) dict.update("a", [](int& n) { ++n; });
  };
  std::vector<mp::Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(add, dict_).start();
  for (mp::Process& process : processes) {
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
  }
  EXPECT_EQ(dict_.at("a"), 800);
}
TEST_P(DictTest, ASetDuringAnUpdateWaitsForIt) {
  dict_.set("a", 1);
  std::thread other;
  dict_.update("a", [&](int& n) {
    other = std::thread([this] { dict_.set("a", 10); });
    n = 2;
  });
  other.join();
  EXPECT_EQ(dict_.at("a"), 10);
}
TEST_P(DictTest, AnUpdateThatCallsForItsOwnKeyIsTold) {
  dict_.set("a", 1);
  EXPECT_THROW(dict_.update("a", [this](int&) { dict_.set("a", 2); }), std::invalid_argument);
}
TEST_P(DictTest, LargeValuesComeBackWhole) {
  const auto large = objects_->dict<int, std::vector<int>>();
  std::vector<int> numbers(1'000'000);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int>(i);
  large.set(1, numbers);
  EXPECT_EQ(large.at(1), numbers);
}

class ListTest : public EveryWay {};
FOR_EVERY_WAY(ListTest);

TEST_P(ListTest, BehavesAsPythonsList) {
  const auto list = objects_->list<int>({1, 2, 3});
  list.push_back(4);
  list.extend(std::vector<int>{5, 6});
  EXPECT_EQ(list.copy(), (std::vector<int>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(list.at(-1), 6);
  EXPECT_EQ(list[0], 1);
  list.set(0, 10);
  list.insert(1, 11);
  EXPECT_EQ(list.pop(), 6);
  EXPECT_EQ(list.pop(0), 10);
  list.erase(0);
  EXPECT_EQ(list.copy(), (std::vector<int>{2, 3, 4, 5}));
  list.reverse();
  EXPECT_EQ(list.index(4), 1U);
  EXPECT_EQ(list.index(9), std::nullopt);
  EXPECT_EQ(list.count(5), 1U);
  EXPECT_TRUE(list.contains(2));
  list.clear();
  EXPECT_TRUE(list.empty());
}
TEST_P(ListTest, AnIndexThatIsNotThereIsOutOfRange) {
  const auto list = objects_->list<int>({1});
  EXPECT_THROW(static_cast<void>(list.at(1)), std::out_of_range);
  EXPECT_THROW(static_cast<void>(list.at(-2)), std::out_of_range);
  EXPECT_THROW(list.set(1, 0), std::out_of_range);
  EXPECT_THROW(list.pop(5), std::out_of_range);
}
TEST_P(ListTest, IteratesOverACopy) {
  const auto list = objects_->list<int>({1, 2, 3});
  int sum = 0;
  for (const int x : list) {
    list.push_back(x);
    sum += x;
  }
  EXPECT_EQ(sum, 6);
  EXPECT_EQ(list.size(), 6U);
}
TEST_P(ListTest, UpdateChangesAnElement) {
  const auto list = objects_->list<std::string>({"a", "b"});
  list.update(1, [](std::string& s) { s += "c"; });
  EXPECT_EQ(list.at(1), "bc");
}
TEST_P(ListTest, MayBeAValueOfAnotherObject) {
  const auto outer = objects_->dict<std::string, mp::ListProxy<int>>();
  {
    const auto inner = objects_->list<int>({1});
    outer.set("a", inner);
    outer.at("a").push_back(2);
    EXPECT_EQ(inner.copy(), (std::vector<int>{1, 2}));
  }
  EXPECT_EQ(outer.at("a").copy(), (std::vector<int>{1, 2}));  // kept by its place in the dict
}
TEST_P(ListTest, AProxyTravelsToAProcess) {
  const auto list = objects_->list<int>();
  mp::Process child([](const mp::ListProxy<int>& l) { l.push_back(7); }, list);
  child.start();
  child.join();
  EXPECT_EQ(list.copy(), (std::vector<int>{7}));
}
TEST_P(ListTest, AProxyTravelsThroughAQueue) {
  const mp::Queue<mp::ListProxy<int>> queue;
  queue.put(objects_->list<int>({7}));
  EXPECT_EQ(queue.get().at(0), 7);
}

class ValueTest : public EveryWay {};
FOR_EVERY_WAY(ValueTest);

TEST_P(ValueTest, IsReadWrittenAndUpdated) {
  const auto value = objects_->value<double>(1.5);
  EXPECT_EQ(value.get(), 1.5);
  value.set(2);
  EXPECT_EQ(value.update([](double& x) { return x *= 2; }), 4);
  EXPECT_EQ(value.get(), 4);
}
TEST_P(ValueTest, AnArrayKeepsItsLength) {
  const auto array = objects_->array<int>(3);
  EXPECT_EQ(array.copy(), (std::vector<int>{0, 0, 0}));
  array.set(2, 5);
  array.update(0, [](int& n) { n = 1; });
  EXPECT_EQ(array.copy(), (std::vector<int>{1, 0, 5}));
  EXPECT_THROW(array.set(3, 0), std::out_of_range);
  EXPECT_EQ(objects_->array<int>({4, 5}).size(), 2U);
}

class NamespaceTest : public EveryWay {
 protected:
  mp::NamespaceProxy names_ = objects_->name_space();
};
FOR_EVERY_WAY(NamespaceTest);

TEST_P(NamespaceTest, HasValuesOfAnyType) {
  names_.set("x", 1);
  names_.set("text", "a literal");
  EXPECT_EQ(names_.get<int>("x"), 1);
  EXPECT_EQ(names_.get<std::string>("text"), "a literal");
  EXPECT_EQ(names_.names(), (std::vector<std::string>{"text", "x"}));
  EXPECT_TRUE(names_.erase("x"));
  EXPECT_FALSE(names_.contains("x"));
}
TEST_P(NamespaceTest, AnotherTypeIsAMismatch) {
  names_.set("x", 1);
  EXPECT_THROW(static_cast<void>(names_.get<double>("x")), mp::TypeMismatch);
  EXPECT_THROW(static_cast<void>(names_.get<int>("y")), std::out_of_range);
}

class NamesTest : public EveryWay {};
FOR_EVERY_WAY(NamesTest);

TEST_P(NamesTest, TheSameNameIsTheSameObject) {
  objects_->dict<std::string, int>("counts").set("a", 1);
  EXPECT_EQ((objects_->dict<std::string, int>("counts").at("a")), 1);
}
TEST_P(NamesTest, TheSameNameWithAnotherTypeIsAMismatch) {
  static_cast<void>(objects_->dict<std::string, int>("counts"));
  EXPECT_THROW((static_cast<void>(objects_->dict<std::string, long>("counts"))), mp::TypeMismatch);
  EXPECT_THROW(static_cast<void>(objects_->queue<int>("counts")), mp::TypeMismatch);
}

// A server that says it has the elements that it does not send.
class Boaster final : public mp::managers::Client {
 public:
  void exchange(std::span<const std::byte> /*request*/, std::span<const mp::memory::Ref> /*handles*/,
                mp::managers::Deadline /*deadline*/, mp::managers::AnswerBuffer& into) override {
    const mp::managers::AnswerHeader header{1, mp::managers::Status::done, 0xFFFFFFFF, 0, 0};
    const auto bytes = std::as_bytes(std::span(&header, 1));
    into.own.assign(bytes.begin(), bytes.end());
    into.bytes = into.own;
  }
  void post(std::span<const std::byte> /*request*/) noexcept override {}
  mp::managers::Object::Parts depart(const mp::managers::Object& /*object*/, const mp::memory::Ref& /*companion*/,
                                     const std::shared_ptr<mp::managers::Held>& /*held*/) override {
    return {};
  }
  mp::managers::Object object(std::uint64_t id, std::uint64_t /*companion*/) override {
    return {shared_from_this(), id, {}, nullptr};
  }
  [[nodiscard]] bool takes_handles() const noexcept override { return false; }
  [[nodiscard]] std::string address() const override { return ""; }
};

TEST(AnAnswer, GetsNoMemoryForElementsThatItOnlyClaims) {
  const mp::managers::Object object(std::make_shared<Boaster>(), 1, {}, nullptr);
  EXPECT_THROW(static_cast<void>(mp::ListProxy<std::string>(object).copy()), mp::Error);
  EXPECT_THROW(static_cast<void>(mp::DictProxy<std::string, int>(object).copy()), mp::Error);
}

}  // namespace
