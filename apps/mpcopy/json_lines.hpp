// --json: what mpcopy says to programs, one JSON object a line, on standard output.
//
//   {"type":"progress","files":3,"directories":1,"bytes":5,"skipped":0,"found_files":9,"found_bytes":50,
//    "found_all":true,"fraction":0.25,"seconds":0.4}             a few times a second, and at the end
//   {"type":"would_copy","source":"a","target":"b"}              of --dry-run
//   {"type":"error","message":"cannot open 'a': Permission denied"}
//   {"type":"end","status":1,"signal":0}                         the last one
//
// Bytes of a path that are no UTF-8 stand there as U+FFFD.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "report.hpp"

namespace mpcopy {

// In quotes.
std::string json_string(std::string_view text);

void print_progress(const View& view, std::chrono::nanoseconds elapsed);
void print_would_copy(std::string_view source, std::string_view target);
void print_error(std::string_view message);
void print_end(int status, int signal);

}  // namespace mpcopy
