#include "process/exception_text.hpp"

#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>

namespace multiprocessing::process_ {
namespace {

template <class F>
std::string text_of(F thrower) {
  try {
    thrower();
  } catch (...) {
    return describe_current_exception();
  }
  return "nothing was thrown";
}

struct Custom : std::exception {
  const char* what() const noexcept override { return nullptr; }
};
struct NoException {};

TEST(ExceptionText, IsTheDynamicTypeAndTheText) {
  EXPECT_EQ(text_of([] { throw std::out_of_range("far"); }), "std::out_of_range: far");
}

TEST(ExceptionText, NamesTypesThatAreNoStdException) {
  EXPECT_EQ(text_of([] { throw 42; }), "int");
  EXPECT_NE(text_of([] { throw NoException{}; }).find("NoException"), std::string::npos);
}

TEST(ExceptionText, ShowsThrownStrings) {
  EXPECT_EQ(text_of([] { throw "plain"; }), "const char*: plain");
  EXPECT_EQ(text_of([] { throw std::string("rich"); }), "std::string: rich");
}

TEST(ExceptionText, NamesTheCauses) {
  const auto thrower = [] {
    try {
      try {
        throw std::invalid_argument("inner");
      } catch (...) {
        std::throw_with_nested(std::logic_error("middle"));
      }
    } catch (...) {
      std::throw_with_nested(std::runtime_error("outer"));
    }
  };
  EXPECT_EQ(text_of(thrower),
            "std::runtime_error: outer\n  caused by std::logic_error: middle\n  caused by "
            "std::invalid_argument: inner");
}

TEST(ExceptionText, SurvivesAnEmptyWhatAndAnEmptyNest) {
  EXPECT_NE(text_of([] { throw Custom{}; }).find("Custom: "), std::string::npos);
  struct Hollow : std::runtime_error, std::nested_exception {
    Hollow() : std::runtime_error("hollow") {}
  };
  EXPECT_NE(text_of([] {
              const Hollow hollow;  // made outside a handler: nothing is nested in it
              try {
                throw Hollow(hollow);
              } catch (...) {
                throw;
              }
            }).find("hollow"),
            std::string::npos);
}

}  // namespace
}  // namespace multiprocessing::process_
