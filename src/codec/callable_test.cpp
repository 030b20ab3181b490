// Callables travel: as tokens of code that is checked on arrival, with arguments that arrive as the
// parameters ask.
#include "multiprocessing/detail/callable.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "codec/round_trip.hpp"
#include "multiprocessing/serialize.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing::codec {
namespace {

using namespace std::chrono_literals;
using testing::Watchdog;

int add(int a, int b) { return a + b; }
int add_noexcept(int a, int b) noexcept { return a + b; }
std::string join(const std::string& a, std::string_view b, const char* c) { return a + std::string(b) + c; }
void change(std::string& text, std::vector<int>&& numbers) {
  text += "!";
  numbers.clear();
}
std::size_t length(std::unique_ptr<std::string> text) { return text->size(); }
const char* literal() { return "a literal"; }
const std::string& reference() {
  static const std::string text = "by reference";
  return text;
}
void fails() { throw std::domain_error("as it does"); }

struct Scale {
  int factor;
  int operator()(int x) const { return factor * x; }
};
struct Overloaded {
  int operator()(int x) const { return x; }
  std::string operator()(const std::string& x) const { return x; }
};

// Sends the call, as a pool does, and gives its result.
template <class F, class... Args>
auto called(F f, Args... args) {
  using C = Call<F, Args...>;
  static_assert(C::check());
  Encoder task;
  encode(task, C::token());
  C::encode_task(task, f, args...);
  Decoder in(task.bytes());
  const auto run = reinterpret_cast<Trampoline>(const_cast<void*>(code_of(decode<Token>(in))));
  Encoder result;
  run(in, result);
  EXPECT_EQ(in.remaining(), 0U);
  if constexpr (std::is_void_v<typename C::result>) {
    EXPECT_EQ(result.size(), 0U);
  } else {
    return decoded<typename C::result>(result.bytes());
  }
}

// ---- Which callables, which arguments ----

static_assert(task_callable<decltype(add)> && task_callable<decltype(&add)> && task_callable<Scale>);
static_assert(task_callable<decltype([](auto x) { return x; })> && task_callable<Overloaded>);
static_assert(!task_callable<std::function<void()>> && !task_callable<int Scale::*> && !task_callable<int>);
static_assert(std::is_same_v<arguments_t<decltype(&join), const char*, const char*, const char*>,
                             std::tuple<std::string, std::string, std::string>>);
static_assert(std::is_same_v<arguments_t<decltype(&add), char, double>, std::tuple<int, int>>);
static_assert(std::is_same_v<arguments_t<Overloaded, const char (&)[4]>, std::tuple<std::string>>);
static_assert(std::is_same_v<arguments_t<Overloaded, const int&>, std::tuple<int>>);

TEST(Calls, OfFunctionsArriveAndReturn) {
  EXPECT_EQ(called(add, 1, 2), 3);
  EXPECT_EQ(called(add_noexcept, 1, 2), 3);
  EXPECT_EQ(called(&add, 1, short{2}), 3);
  EXPECT_EQ(called(static_cast<double (*)(double)>(std::sqrt), 9), 3.0);  // in another module
}

TEST(Calls, OfLambdasWithoutCapturesArrive) {
  EXPECT_EQ(called([](int x) { return x + 1; }, 2), 3);
  EXPECT_EQ(called([](auto x, auto& y) { return x + y; }, std::string("a"), std::string("b")), "ab");
  EXPECT_EQ(called([](int x) mutable noexcept { return x; }, 2), 2);
}

TEST(Calls, OfFunctionObjectsArriveWithTheirState) {
  EXPECT_EQ(called(Scale{3}, 4), 12);
  EXPECT_EQ(called(Overloaded{}, 4), 4);
  EXPECT_EQ(called(Overloaded{}, "text"), "text");
  EXPECT_EQ(called(std::plus<>(), 1, 2), 3);
}

TEST(Calls, OfCopiedClosuresArriveWithTheirCaptures) {
  int offset = 5;
  double factor = 2;
  EXPECT_EQ(called(copied([offset, factor](int x) { return factor * (x + offset); }), 1), 12);
}

TEST(Calls, OfBoundCallsArriveWithTheirArguments) {
  const auto bound = multiprocessing::bind(join, "a", "b", "c");
  static_assert(sendable<decltype(bound)>);
  EXPECT_EQ(bound(), "abc");
  EXPECT_EQ(bound(), "abc");
  EXPECT_EQ(called(bound), "abc");
  EXPECT_EQ(called(multiprocessing::bind([](auto text) { return text + "!"; }, "q")), "q!");
}

TEST(Calls, PassArgumentsAsTheParametersAsk) {
  EXPECT_EQ(called(join, "a", std::string("b"), "c"), "abc");
  called(change, "text", std::vector<int>{1});
}

TEST(Calls, PassWhatCanOnlyBeMoved) {
  Encoder task;
  using C = Call<decltype(&length), std::unique_ptr<std::string>>;
  C::encode_task(task, length, std::make_unique<std::string>("four"));
  Decoder in(task.bytes());
  Encoder result;
  C::run(in, result);
  EXPECT_EQ(decoded<std::size_t>(result.bytes()), 4U);
}

TEST(Calls, ReturnTextAndReferencesByValue) {
  EXPECT_EQ(called(literal), "a literal");
  EXPECT_EQ(called(reference), "by reference");
  static_assert(std::is_same_v<Call<decltype(&literal)>::result, std::string>);
}

TEST(Calls, LetExceptionsThrough) { EXPECT_THROW(called(fails), std::domain_error); }

TEST(Calls, WithDamagedArgumentsAreErrors) {
  using C = Call<decltype(&join), const char*, const char*, const char*>;
  Encoder task;
  C::encode_task(task, join, "a", "b", "c");
  for (std::size_t size = 0; size < task.size(); ++size) {
    Decoder in(task.bytes().first(size));
    Encoder result;
    EXPECT_THROW(C::run(in, result), Error);
  }
}

TEST(Callables, EncodeAndDecodeAlone) {
  Encoder out;
  encode_callable(out, add);
  encode_callable(out, Scale{2});
  Decoder in(out.bytes());
  EXPECT_EQ(decode_callable<int (*)(int, int)>(in)(1, 2), 3);
  EXPECT_EQ(decode_callable<Scale>(in)(4), 8);
}

// ---- Tokens ----

const void* code(int (*function)(int, int)) { return reinterpret_cast<const void*>(function); }

TEST(Tokens, NameTheSameCode) {
  const Token token = token_of(code(add));
  EXPECT_EQ(code_of(token), code(add));
  EXPECT_NE(token.module, decltype(token.module){});
  EXPECT_NE(token, token_of(code(add_noexcept)));
}

TEST(Tokens, HoldInAForkedChild) {
  const Watchdog dog{60s};
  const Token token = token_of(code(add));
  const pid_t child = fork();
  if (child == 0) {
    // In the child also for a module that it is the first to ask for.
    const bool right = code_of(token) == code(add) && token_of(code(add)) == token;
    const auto sine = reinterpret_cast<const void*>(static_cast<double (*)(double)>(std::sin));
    _exit(right && code_of(token_of(sine)) == sine ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(Tokens, OfAModuleThatIsNotLoadedAreRefused) {
  Token token = token_of(code(add));
  token.module[0] ^= std::byte{1};
  EXPECT_THROW((void)code_of(token), NotSendable);
  EXPECT_THROW((void)code_of(Token{}), NotSendable);
}

TEST(Tokens, OfWhatIsNotCodeAreRefused) {
  Token token = token_of(code(add));
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    token.offset = offset;
    EXPECT_THROW((void)code_of(token), NotSendable) << offset;
  }
}

TEST(Tokens, AreNotToBeHadForDataOrCodeMadeAtRunTime) {
  static int data = 0;
  EXPECT_THROW((void)token_of(&data), NotSendable);
  EXPECT_THROW((void)token_of(nullptr), NotSendable);
  void* const page = mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  EXPECT_THROW((void)token_of(page), NotSendable);
  munmap(page, 4096);
}

TEST(Tokens, OfNullFunctionsAreRefusedWhenATaskIsMade) {
  Encoder out;
  int (*const none)(int, int) = nullptr;
  EXPECT_THROW(encode_callable(out, none), NotSendable);
  EXPECT_EQ(out.size(), 0U);
}

TEST(Tokens, AreMadeAndResolvedByManyThreadsAtOnce) {
  const Watchdog dog{60s};
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&wrong] {
      for (int round = 0; round < 1000; ++round) {
        if (round % 100 == 0) learn_modules();
        if (code_of(token_of(code(add))) != code(add)) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace multiprocessing::codec
