#include "progress/render.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <string>

#include "progress/rate.hpp"
#include "progress/text.hpp"

namespace multiprocessing::progress_ {
namespace {

using namespace std::chrono_literals;

Moment copying_items() {
  return {
      .label = "copying", .state = {.done = 12'604, .total = 20'000}, .elapsed = 7s, .rate = 1750.3, .remaining = 4s};
}

Moment copying_bytes() {
  constexpr std::uint64_t mib = 1024 * 1024;
  return {.label = "copying",
          .unit = ProgressUnit::bytes,
          .state = {.done = 1229 * mib, .total = 4608 * mib, .fraction = 0.3125, .note = "12,604 files"},
          .elapsed = 7s,
          .rate = 182.3 * mib,
          .remaining = 64s};
}

TEST(RenderBar, IsTheLineOfTheManual) {
  EXPECT_EQ(render_bar(copying_items(), 73, Charset::utf8),
            "copying  63% |██████████▋      | 12,604/20,000 [00:07<00:04, 1,750.3/s]");
}

TEST(RenderBar, At80ColumnsShowsEverything) {
  EXPECT_EQ(render_bar(copying_items(), 79, Charset::utf8),
            "copying  63% |██████████████▍        | 12,604/20,000 [00:07<00:04, 1,750.3/s]");
  EXPECT_EQ(render_bar(copying_bytes(), 79, Charset::utf8),
            "copying  31% |███▍       | 1.2/4.5 GiB, 12,604 files [00:07<01:04, 182.3 MiB/s]");
}

TEST(RenderBar, At40ColumnsKeepsPercentBarAndTimes) {
  EXPECT_EQ(render_bar(copying_items(), 39, Charset::utf8), "copying  63% |██████▎   | [00:07<00:04]");
  EXPECT_EQ(render_bar(copying_bytes(), 39, Charset::utf8), "copying  31% |███▏      | [00:07<01:04]");
}

TEST(RenderBar, IsAsciiWhereTheTerminalIs) {
  EXPECT_EQ(render_bar(copying_items(), 79, Charset::ascii),
            "copying  63% |##############         | 12,604/20,000 [00:07<00:04, 1,750.3/s]");
}

TEST(RenderBar, WithoutATotalShowsCountTimeAndRate) {
  Moment moment = copying_items();
  moment.state.total.reset();
  moment.remaining.reset();
  EXPECT_EQ(render_bar(moment, 79, Charset::utf8), "copying 12,604 [00:07, 1,750.3/s]");
  EXPECT_EQ(render_bar(moment, 30, Charset::utf8), "copying [00:07, 1,750.3/s]");
}

TEST(RenderBar, BeforeAnythingIsKnownSaysSo) {
  EXPECT_EQ(render_bar({.label = "copying", .state = {.total = 20'000}}, 79, Charset::utf8),
            "copying   0% |                       |      0/20,000 [00:00<--:--, ?/s]");
  EXPECT_EQ(render_bar({.state = {}}, 79, Charset::utf8), "0 [00:00, ?/s]");
}

TEST(RenderBar, SaysHundredPercentOnlyWhenNothingIsLeft) {
  Moment moment = copying_items();
  moment.state.done = 19'999;
  EXPECT_NE(render_bar(moment, 79, Charset::utf8).find(" 99% "), std::string::npos);
  moment.state.done = 20'000;
  EXPECT_EQ(render_bar(moment, 39, Charset::utf8), "copying 100% |██████████| [00:07<00:04]");
  moment.state = {.done = 0, .total = 0};
  EXPECT_EQ(render_bar(moment, 39, Charset::utf8), "copying 100% |██████████| [00:07<00:04]");
}

TEST(RenderBar, KeepsItsWidthWhileTheRateComesAndGoes) {
  const auto bar_end = [](Moment moment) { return render_bar(moment, 79, Charset::ascii).rfind('|'); };
  Moment moment = copying_items();
  const auto expected = bar_end(moment);
  for (const double rate : {0.25, 9.99, 99.9, 12'345.6, 9'999'999.0}) {
    moment.rate = rate;
    EXPECT_EQ(bar_end(moment), expected) << rate;
  }
  moment.rate.reset();
  moment.remaining.reset();
  EXPECT_EQ(bar_end(moment), expected);
}

TEST(RenderBar, NeverExceedsTheWidthGiven) {
  Moment strange = copying_bytes();
  strange.label = "图片复制 with\na long\tlabel";
  strange.elapsed = 200h;
  strange.rate = 1e30;
  Moment wrong_total = copying_items();
  wrong_total.state = {.done = std::numeric_limits<std::uint64_t>::max(), .total = 3};
  for (const Moment& moment : {copying_items(), copying_bytes(), strange, wrong_total}) {
    for (int columns = 0; columns <= 300; ++columns) {
      for (const Charset charset : {Charset::ascii, Charset::utf8}) {
        const std::string line = render_bar(moment, columns, charset);
        EXPECT_LE(columns_of(line, charset), columns) << line;
        EXPECT_EQ(line.find('\n'), std::string::npos) << line;
      }
    }
  }
}

TEST(RenderBar, MovesByEighthsOfAColumn) {
  Moment moment;
  std::string last;
  int steps = 0;
  for (int i = 0; i <= 1000; ++i) {
    moment.state.fraction = i / 1000.0;
    const std::string line = render_bar(moment, 14, Charset::utf8);
    const std::string bar = line.substr(line.find('|'));
    steps += bar != last;
    last = bar;
  }
  EXPECT_GE(steps, 6 * 8);
}

TEST(RenderPlain, IsTheSameLineWithoutTheBar) {
  EXPECT_EQ(render_plain(copying_items()), "copying  63% 12,604/20,000 [00:07<00:04, 1,750.3/s]");
  EXPECT_EQ(render_plain(copying_bytes()), "copying  31% 1.2/4.5 GiB, 12,604 files [00:07<01:04, 182.3 MiB/s]");
  Moment unknown = copying_items();
  unknown.label = "复制";
  unknown.state.total.reset();
  EXPECT_EQ(render_plain(unknown), "复制 12,604 [00:07, 1,750.3/s]");
}

TEST(Text, GroupsThousands) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(18'446'744'073'709'551'615U), "18,446,744,073,709,551,615");
}

TEST(Text, RatesHaveAboutFourDigits) {
  EXPECT_EQ(counts_per_second(0.25), "0.25/s");
  EXPECT_EQ(counts_per_second(9.999), "10.0/s");
  EXPECT_EQ(counts_per_second(1750.3), "1,750.3/s");
  EXPECT_EQ(counts_per_second(1234567.8), "1,234,568/s");
  EXPECT_EQ(bytes_per_second(12), "12 B/s");
  EXPECT_EQ(bytes_per_second(182.3 * 1024 * 1024), "182.3 MiB/s");
  EXPECT_EQ(bytes_per_second(1000), "1.0 KiB/s");
}

TEST(Text, TimesGrowFromMinutesToDays) {
  EXPECT_EQ(clock_time(0s), "00:00");
  EXPECT_EQ(clock_time(59min + 59s + 999ms), "59:59");
  EXPECT_EQ(clock_time(1h + 2min + 3s), "1:02:03");
  EXPECT_EQ(clock_time(99h), "99:00:00");
  EXPECT_EQ(clock_time(100h), "4d 04h");
}

TEST(Text, CountsColumnsNotBytes) {
  EXPECT_EQ(columns_of("копия", Charset::utf8), 5);
  EXPECT_EQ(columns_of("复制", Charset::utf8), 4);
  EXPECT_EQ(columns_of("e\u0301", Charset::utf8), 1);
  EXPECT_EQ(columns_of("\xff\xfe", Charset::utf8), 2);
  EXPECT_EQ(columns_of("\xe5\xa4", Charset::utf8), 2);
  EXPECT_EQ(columns_of("复制", Charset::ascii), 6);
}

TEST(Text, CutsWholeCharacters) {
  EXPECT_EQ(fitted("copying", 7, Charset::utf8), "copying");
  EXPECT_EQ(fitted("copying", 6, Charset::utf8), "copyi…");
  EXPECT_EQ(fitted("copying", 6, Charset::ascii), "copyi~");
  EXPECT_EQ(fitted("复制文件", 6, Charset::utf8), "复制…");
  EXPECT_EQ(fitted("a\nb", 7, Charset::utf8), "a?b");
  EXPECT_EQ(fitted("a", 0, Charset::utf8), "");
}

TEST(RateMeter, IsThePlainAverageAtFirst) {
  RateMeter meter(10s);
  EXPECT_FALSE(meter.per_second().has_value());
  meter.observe(100, 1s);
  EXPECT_NEAR(*meter.per_second(), 100, 1e-9);
  meter.observe(200, 2s);
  EXPECT_NEAR(*meter.per_second(), 100, 1e-9);
}

TEST(RateMeter, ForgetsTheDistantPast) {
  RateMeter meter(10s);
  for (int second = 1; second <= 100; ++second) meter.observe(1000.0 * second, std::chrono::seconds(second));
  for (int second = 101; second <= 200; ++second) {
    meter.observe(100'000.0 + 10.0 * (second - 100), std::chrono::seconds(second));
  }
  EXPECT_NEAR(*meter.per_second(), 10, 1);
}

TEST(RateMeter, IsUnmovedByTwoLooksAtTheSameInstant) {
  RateMeter meter(10s);
  meter.observe(100, 1s);
  meter.observe(150, 1s);
  EXPECT_NEAR(*meter.per_second(), 100, 1e-9);
}

}  // namespace
}  // namespace multiprocessing::progress_
