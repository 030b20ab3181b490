# Tests as CTest sees them: one CTest test per claim, named <layer>.<Suite>.<Claim>.
include(GoogleTest)
include(MpCompileFail)

# The last resort against a hang; a test's own Watchdog (tests/support/watchdog.hpp) barks long before.
set(MP_TEST_TIMEOUT 300)

# <gtest/gtest.h> is the larger part of compiling a test. One precompiled copy per set of flags is shared by all
# tests. The `clang` preset turns this off, so an include that a test forgot does not stay hidden behind it.
foreach(library IN ITEMS multiprocessing multiprocessing_testing)
  set(pch "${library}_test_pch")
  add_library(${pch} OBJECT EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/tests/support/test_pch.cpp")
  mp_target_defaults(${pch})
  target_link_libraries(${pch} PRIVATE ${library} GTest::gtest_main)
  target_precompile_headers(${pch} PRIVATE <gtest/gtest.h> <chrono> <functional> <string> <thread> <vector>)
endforeach()

# mp_test(<prefix> <source> LIBRARY <multiprocessing|multiprocessing_testing>)
# Makes a GoogleTest program of one source file and registers each of its claims.
function(mp_test prefix source)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "LIBRARY" "")
  cmake_path(GET source STEM stem)
  set(target "${prefix}_${stem}")
  add_executable(${target} ${source})
  mp_target_defaults(${target})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${target} PRIVATE ${arg_LIBRARY} GTest::gtest_main)
  target_precompile_headers(${target} REUSE_FROM ${arg_LIBRARY}_test_pch)
  set_target_properties(${target} PROPERTIES ENABLE_EXPORTS ON)  # so that the stack a Watchdog prints has names
  gtest_discover_tests(${target}
    TEST_PREFIX "${prefix}."
    DISCOVERY_MODE PRE_TEST
    PROPERTIES TIMEOUT ${MP_TEST_TIMEOUT})
endfunction()
