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
// UBSan looks at objects through a pipe, and takes them for damaged when there is no descriptor for one; and it reports what
// else would be a signal.
extern "C" [[gnu::weak]] void __ubsan_handle_dynamic_type_cache_miss_abort();
inline bool under_ubsan() { return &__ubsan_handle_dynamic_type_cache_miss_abort != nullptr; }

}  // namespace multiprocessing::testing
