// Numbers, sizes and times as a progress line writes them, and how wide a text is on a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace multiprocessing::progress_ {

enum class Charset { ascii, utf8 };

std::string with_commas(std::uint64_t n);               // 12,604
std::string counts_per_second(double rate);             // 1,750.3/s   0.25/s
std::string bytes_per_second(double rate);              // 182.3 MiB/s
std::string clock_time(std::chrono::nanoseconds time);  // 00:07   1:02:03   4d 03h

// Bytes in a unit of 1024 steps, the largest in which `scale` is at least 1.
struct ByteUnit {
  double divisor;
  std::string_view name;
};
ByteUnit byte_unit(double scale);
std::string in_unit(double bytes,
                    ByteUnit unit);  // 1.2, without the unit's name; whole bytes have no decimal

// Columns that `text` takes: wide characters count 2, combining marks 0; in ASCII every byte is one.
int columns_of(std::string_view text, Charset charset);
// The longest beginning of `text` that fits, with a mark where something was cut; control characters become '?'.
std::string fitted(std::string_view text, int columns, Charset charset);

}  // namespace multiprocessing::progress_
