// What a task throws, and what its caller catches.
#include <gtest/gtest.h>

#include <any>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <variant>
#include <vector>

#include "multiprocessing/pool.hpp"
#include "multiprocessing/register_exception.hpp"
#include "pool/pool_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Watchdog;

class PoolExceptions : public ::testing::Test {
 protected:
  Watchdog dog{120s};
  Pool pool{2};

  ~PoolExceptions() override {
    EXPECT_EQ(pool.apply([] { return 1; }), 1) << "the pool does not go on";
  }
};

// What comes out of the task: the type that was caught, its text, and the RemoteError in it.
struct Caught {
  std::string text;
  std::string nested_type;
  std::string nested_text;
  pid_t nested_pid = 0;
};
template <class E, class F, class... Args>
Caught caught(Pool& pool, F f, Args... args) {
  try {
    pool.apply(f, args...);
  } catch (const E& e) {
    Caught result{.text = e.what(), .nested_type = {}, .nested_text = {}};
    try {
      std::rethrow_if_nested(e);
    } catch (const RemoteError& remote) {
      result.nested_type = remote.type_name();
      result.nested_text = remote.what();
      result.nested_pid = remote.pid();
    }
    return result;
  } catch (...) {
    ADD_FAILURE() << "another type than " << typeid(E).name();
  }
  return {};
}

template <class E>
void throw_text(std::string text) {
  throw E(text);
}
template <class E>
void throw_plain() {
  throw E();
}

template <class E>
void expect_text_type(Pool& pool, const char* type) {
  const Caught e = caught<E>(pool, throw_text<E>, std::string("what happened"));
  EXPECT_EQ(e.text, "what happened");
  EXPECT_EQ(e.nested_type, type);
  EXPECT_EQ(e.nested_text, "what happened");
  EXPECT_GT(e.nested_pid, 0);
  EXPECT_NE(e.nested_pid, ::getpid());
}
template <class E>
void expect_plain_type(Pool& pool, const char* type) {
  EXPECT_EQ(caught<E>(pool, throw_plain<E>).nested_type, type);
}

TEST_F(PoolExceptions, AStandardExceptionArrivesAsItsOwnTypeWithARemoteErrorInIt) {
  expect_text_type<std::invalid_argument>(pool, "std::invalid_argument");
  expect_text_type<std::domain_error>(pool, "std::domain_error");
  expect_text_type<std::length_error>(pool, "std::length_error");
  expect_text_type<std::out_of_range>(pool, "std::out_of_range");
  expect_text_type<std::logic_error>(pool, "std::logic_error");
  expect_text_type<std::range_error>(pool, "std::range_error");
  expect_text_type<std::overflow_error>(pool, "std::overflow_error");
  expect_text_type<std::underflow_error>(pool, "std::underflow_error");
  expect_text_type<std::runtime_error>(pool, "std::runtime_error");
  expect_plain_type<std::bad_alloc>(pool, "std::bad_alloc");
  expect_plain_type<std::bad_cast>(pool, "std::bad_cast");
  expect_plain_type<std::bad_any_cast>(pool, "std::bad_any_cast");
  expect_plain_type<std::bad_variant_access>(pool, "std::bad_variant_access");
  expect_plain_type<std::bad_optional_access>(pool, "std::bad_optional_access");
  expect_plain_type<std::exception>(pool, "std::exception");
}

TEST_F(PoolExceptions, ExceptionsOfThisLibraryArriveAsThemselves) {
  expect_text_type<Empty>(pool, "multiprocessing::Empty");
  expect_text_type<Closed>(pool, "multiprocessing::Closed");
  expect_text_type<TimeoutError>(pool, "multiprocessing::TimeoutError");
  expect_text_type<Error>(pool, "multiprocessing::Error");
}

TEST_F(PoolExceptions, ASystemErrorKeepsItsCodeAndText) {
  try {
    pool.apply([] { throw std::system_error(ENOSPC, std::generic_category(), "write 'a'"); });
    ADD_FAILURE();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::error_code(ENOSPC, std::generic_category()));
    EXPECT_STREQ(e.what(), "write 'a': No space left on device");
  }
  EXPECT_THROW(pool.apply([] { return std::filesystem::file_size("/not/there"); }), std::filesystem::filesystem_error);
}

TEST_F(PoolExceptions, ATypeDerivedFromAStandardOneIsNotTakenForIt) {
  struct Own : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  const Caught e = caught<RemoteError>(pool, [] { throw Own("mine"); });
  EXPECT_EQ(e.text, "mine");
}

TEST_F(PoolExceptions, Faults05_WhatIsNoExceptionOrCannotBeCopiedArrivesAsRemoteError) {
  struct NoCopy : std::runtime_error {
    explicit NoCopy(std::string text) : std::runtime_error(text), p(std::make_unique<int>(1)) {}
    std::unique_ptr<int> p;
  };
  struct NoText : std::exception {
    const char* what() const noexcept override { return nullptr; }
  };
  const auto remote_type = [this](auto f) {
    try {
      pool.apply(f);
    } catch (const RemoteError& e) {
      return e.type_name() + ": " + e.what();
    }
    return std::string("nothing was thrown");
  };
  EXPECT_EQ(remote_type([] { throw 42; }), "int: an exception of type int, which is no std::exception");
  EXPECT_NE(remote_type([] { throw std::string("text"); }).find("string"), std::string::npos);
  EXPECT_NE(remote_type([] { throw NoCopy("only moved"); }).find("only moved"), std::string::npos);
  EXPECT_NE(remote_type([] { throw NoText(); }).find("NoText"), std::string::npos);
  EXPECT_NE(remote_type([] { throw RemoteError("T", "from further away", "", 1); }).find("T: from further away"),
            std::string::npos);
  const std::string large = remote_type([] { throw RemoteError("Large", std::string(200'000, 'x'), "", 1); });
  EXPECT_EQ(large, "Large: " + std::string(200'000, 'x'));
}

TEST_F(PoolExceptions, AFailedItemFailsTheMapAfterAllOthersRan) {
  static testing::Shared<int>* ran;
  testing::Shared<int> count;
  ran = &count;
  Pool own(2);
  const auto odd_throws = [](int n) {
    ran->add(1);
    if (n % 2 == 1) throw std::out_of_range("item " + std::to_string(n));
    return n;
  };
  try {
    own.map(odd_throws, std::vector<int>{0, 1, 2, 3, 4}, {.chunksize = 2});
    ADD_FAILURE();
  } catch (const std::out_of_range& e) {
    EXPECT_STREQ(e.what(), "item 1");  // the first in the input, not in time
  }
  EXPECT_EQ(count.get(), 5);
}

TEST_F(PoolExceptions, ImapThrowsWhereTheTurnOfTheItemComesAndGoesOn) {
  auto results = pool.imap(
      [](int n) {
        if (n == 1) throw std::out_of_range("one");
        return n;
      },
      std::vector<int>{0, 1, 2});
  auto it = results.begin();
  EXPECT_EQ(*it, 0);
  EXPECT_THROW(++it, std::out_of_range);
  ++it;
  EXPECT_EQ(*it, 2);
  EXPECT_TRUE(++it == results.end());
}

// Serializers of the user's that fail, on each of the four ways.
template <int where>
struct Fragile {
  int value = 0;
  template <class Archive>
  void save(Archive& archive) const {
    if (value == where) throw std::domain_error("save");
    archive(value);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(value);
    if (value == where + 1) throw std::domain_error("load");
  }
};

TEST_F(PoolExceptions, ASerializerThatThrowsFailsItsTaskOnly) {
  using F = Fragile<10>;
  const auto value_of = [](F f) { return f.value; };
  const auto make = [](int n) { return F{n}; };
  EXPECT_THROW(pool.apply(value_of, F{10}), std::domain_error);  // saving an argument, here
  EXPECT_THROW(pool.apply(value_of, F{11}), std::domain_error);  // loading it, in the worker
  EXPECT_THROW(pool.apply(make, 10), std::domain_error);         // saving a result, in the worker
  EXPECT_THROW(pool.apply(make, 11), std::domain_error);         // loading it, here
  EXPECT_EQ(pool.apply(value_of, F{12}), 12);
  EXPECT_EQ(pool.apply(make, 12).value, 12);
}

TEST_F(PoolExceptions, ASerializerThatThrowsInAMapLeavesTheOtherItemsAlone) {
  using F = Fragile<10>;
  std::vector<int> good;
  int failed = 0;
  auto results = pool.imap([](int n) { return F{n}; }, std::vector<int>{9, 10, 11, 12});
  auto it = results.begin();
  for (int i = 0; i < 4; ++i) {
    try {
      if (i != 0) ++it;
      good.push_back((*it).value);
    } catch (const std::domain_error&) {
      ++failed;
    }
  }
  EXPECT_EQ(good, (std::vector{9, 12}));
  EXPECT_EQ(failed, 2);
}

// --- types of the program's own --------------------------------------------------------------------------------------

struct FromText : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct FromNothing : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return "always the same"; }
};
struct ByValue : std::exception {  // what() is no help: only its serializer knows the place
  int line = 0;
  std::string file;
  ByValue() = default;
  ByValue(std::string where, int at) : line(at), file(std::move(where)) {}
  template <class Archive>
  void serialize(Archive& archive) {
    archive(line, file);
  }
};
struct Plain {  // no std::exception at all
  int code;
  std::string text;
};
struct Last final : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Breaks : FromText {  // its serializer throws
  using FromText::FromText;
  Breaks() : FromText("made from nothing") {}
  template <class Archive>
  void save(Archive& /*archive*/) const {
    throw std::domain_error("save");
  }
  template <class Archive>
  void load(Archive& /*archive*/) {}
};
struct Derived : FromText {
  using FromText::FromText;
};

class RegisteredExceptions : public ::testing::Test {
 protected:
  RegisteredExceptions() {
    register_exception<FromText>();
    register_exception<FromText>();
    register_exception<FromNothing>();
    register_exception<ByValue>();
    register_exception<Plain>();
    register_exception<Last>();
    register_exception<Breaks>();
  }
  Watchdog dog{120s};
};

TEST_F(RegisteredExceptions, ArriveAsThemselvesWithARemoteErrorInThem) {
  Pool pool(1);
  const Caught text = caught<FromText>(pool, [] { throw FromText("what happened"); });
  EXPECT_EQ(text.text, "what happened");
  EXPECT_NE(text.nested_type.find("FromText"), std::string::npos);
  EXPECT_EQ(text.nested_text, "what happened");
  EXPECT_EQ(caught<FromNothing>(pool, [] { throw FromNothing(); }).text, "always the same");
}

TEST_F(RegisteredExceptions, WithASerializerArriveByTheirValue) {
  Pool pool(1);
  try {
    pool.apply([] { throw ByValue("a.txt", 12); });
    ADD_FAILURE();
  } catch (const ByValue& e) {
    EXPECT_EQ(e.line, 12);
    EXPECT_EQ(e.file, "a.txt");
  }
}

TEST_F(RegisteredExceptions, NeedNotBeStdExceptions) {
  Pool pool(1);
  try {
    pool.apply([] { throw Plain{7, "seven"}; });
    ADD_FAILURE();
  } catch (const Plain& e) {
    EXPECT_EQ(e.code, 7);
    EXPECT_EQ(e.text, "seven");
  }
  try {
    pool.apply([] { throw Plain{7, "seven"}; });
  } catch (const std::nested_exception& e) {  // rethrow_if_nested() asks a class with virtual functions only
    EXPECT_THROW(e.rethrow_nested(), RemoteError);
  }
}

TEST_F(RegisteredExceptions, ThatAreFinalArriveAloneForNothingCanBeNestedInThem) {
  Pool pool(1);
  EXPECT_THROW(pool.apply([] { throw Last("final"); }), Last);
}

TEST_F(RegisteredExceptions, WhoseSerializerThrowsArriveAsRemoteError) {
  Pool pool(1);
  const Caught e = caught<RemoteError>(pool, [] { throw Breaks("its text"); });
  EXPECT_EQ(e.text, "its text");
  EXPECT_EQ(pool.apply([] { return 1; }), 1);
}

TEST_F(RegisteredExceptions, AreExactlyThoseTypesAndNotWhatDerivesFromThem) {
  Pool pool(1);
  EXPECT_EQ(caught<RemoteError>(pool, [] { throw Derived("more"); }).text, "more");
}

TEST_F(RegisteredExceptions, OnlyOfTheWorkerArriveAsRemoteError) {
  Pool pool(1);
  struct OfTheWorker : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  const Caught e = caught<RemoteError>(pool, [] {
    register_exception<OfTheWorker>();
    throw OfTheWorker("unheard of");
  });
  EXPECT_EQ(e.text, "unheard of");
}

// What rethrow_if_nested finds, outermost first: the types, each with its text.
std::vector<std::string> chain_of(const std::exception& e) {
  std::vector<std::string> chain;
  const auto add = [&chain](const char* type, const std::exception& each) {
    chain.push_back(std::string(type) + ": " + each.what());
  };
  const auto type = [](const std::exception& each) {
    if (dynamic_cast<const RemoteError*>(&each) != nullptr) return "RemoteError";
    if (dynamic_cast<const FromText*>(&each) != nullptr) return "FromText";
    if (dynamic_cast<const std::out_of_range*>(&each) != nullptr) return "out_of_range";
    return "another";
  };
  const auto walk = [&](const auto& self, const std::exception& each) -> void {
    add(type(each), each);
    try {
      std::rethrow_if_nested(each);
    } catch (const std::exception& cause) {
      self(self, cause);
    }
  };
  walk(walk, e);
  return chain;
}

void fail_three_deep() {
  try {
    try {
      throw std::out_of_range("inner");
    } catch (...) {
      std::throw_with_nested(Derived("middle"));
    }
  } catch (...) {
    std::throw_with_nested(FromText("outer"));
  }
}

TEST_F(RegisteredExceptions, BringTheirCausesEachAsItsOwnTypeAndItsRemoteError) {
  Pool pool(1);
  try {
    pool.apply(fail_three_deep);
    ADD_FAILURE();
  } catch (const std::exception& e) {
    EXPECT_EQ(chain_of(e), (std::vector<std::string>{"FromText: outer", "RemoteError: outer", "RemoteError: middle",
                                                     "out_of_range: inner", "RemoteError: inner"}));
  }
}

TEST_F(PoolExceptions, TheRemoteErrorOfACauseTellsTheTypeThatWasThrownAndNotTheWrapper) {
  try {
    pool.apply([] {
      try {
        throw std::out_of_range("inner");
      } catch (...) {
        std::throw_with_nested(std::logic_error("outer"));
      }
    });
    ADD_FAILURE();
  } catch (const std::logic_error& e) {
    try {
      std::rethrow_if_nested(e);
      ADD_FAILURE();
    } catch (const RemoteError& remote) {
      EXPECT_EQ(remote.type_name(), "std::logic_error");
    }
  }
}

TEST_F(PoolExceptions, AChainOfCausesWithoutEndIsCutOff) {
  const auto deep = [](int n) {
    std::exception_ptr cause = std::make_exception_ptr(std::logic_error("0"));
    for (int i = 1; i < n; ++i) {
      try {
        std::rethrow_exception(cause);
      } catch (...) {
        try {
          std::throw_with_nested(std::logic_error(std::to_string(i)));
        } catch (...) {
          cause = std::current_exception();
        }
      }
    }
    std::rethrow_exception(cause);
  };
  try {
    pool.apply(deep, 1000);
    ADD_FAILURE();
  } catch (const std::logic_error& e) {
    EXPECT_STREQ(e.what(), "999");
    EXPECT_LT(chain_of(e).size(), 50U);
  }
}

}  // namespace
}  // namespace multiprocessing
