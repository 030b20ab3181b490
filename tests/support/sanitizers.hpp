// Which sanitizer this test was built with, for claims that a sanitizer itself breaks.
#pragma once

namespace multiprocessing::testing {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool under_asan = true;
#else
inline constexpr bool under_asan = false;
#endif
#if defined(__has_feature)
inline constexpr bool under_tsan = __has_feature(thread_sanitizer);
#else
inline constexpr bool under_tsan = false;
#endif

}  // namespace multiprocessing::testing
