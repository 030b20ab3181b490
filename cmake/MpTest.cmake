# Tests as CTest sees them: one CTest test per claim, named <layer>.<Suite>.<Claim>.
include(GoogleTest)
include(MpCompileFail)

# The last resort against a hang; a test's own Watchdog (tests/support/watchdog.hpp) barks long before.
set(MP_TEST_TIMEOUT 300)

# mp_compiled_for_once(<target>): what is compiled for the sake of one run. Optimising it would double the time that
# it takes to compile; lines for the stack that a Watchdog prints are all that is needed of debug information.
set(MP_COMPILED_FOR_ONCE "$<$<CONFIG:RelWithDebInfo>:-O0;-g1>")
function(mp_compiled_for_once target)
  mp_target_defaults(${target})
  target_compile_options(${target} PRIVATE ${MP_COMPILED_FOR_ONCE})
endfunction()

# <gtest/gtest.h> and the public headers are the larger part of compiling a test. One precompiled copy per set of
# flags is shared by all tests. The `clang` preset turns this off too.
foreach(library IN ITEMS multiprocessing multiprocessing_testing)
  set(pch "${library}_test_pch")
  add_library(${pch} OBJECT EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/tests/support/test_pch.cpp")
  mp_compiled_for_once(${pch})
  target_link_libraries(${pch} PRIVATE ${library} GTest::gtest_main)
  target_precompile_headers(${pch} PRIVATE
    <gtest/gtest.h> <chrono> <functional> <multiprocessing/multiprocessing.hpp> <string> <thread> <vector>)
endforeach()

# mp_test(<prefix> <source> LIBRARY <multiprocessing|multiprocessing_testing>)
# Makes a GoogleTest program of one source file and registers each of its claims.
function(mp_test prefix source)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "LIBRARY" "")
  cmake_path(GET source STEM stem)
  set(target "${prefix}_${stem}")
  add_executable(${target} ${source})
  mp_compiled_for_once(${target})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${target} PRIVATE ${arg_LIBRARY} GTest::gtest_main)
  target_precompile_headers(${target} REUSE_FROM ${arg_LIBRARY}_test_pch)
  set_target_properties(${target} PROPERTIES ENABLE_EXPORTS ON)  # so that the stack a Watchdog prints has names
  gtest_discover_tests(${target}
    TEST_PREFIX "${prefix}."
    DISCOVERY_MODE PRE_TEST
    PROPERTIES TIMEOUT ${MP_TEST_TIMEOUT})
endfunction()
