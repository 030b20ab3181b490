# Tests as CTest sees them: one CTest test per claim, named <layer>.<Suite>.<Claim>.
include(GoogleTest)
include(MpCompileFail)

# The last resort against a hang; a test's own Watchdog (tests/support/watchdog.hpp) barks long before.
set(MP_TEST_TIMEOUT 300)

# mp_compiled_for_once(<target>): what is compiled for the sake of one run. Optimising it would double the time that
# it takes to compile; lines for the stack that a Watchdog prints are all that is needed of debug information. g++ would
# spend another tenth on tidying up its memory.
set(MP_COMPILED_FOR_ONCE "$<$<CONFIG:RelWithDebInfo>:-O0;-g1>")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND MP_COMPILED_FOR_ONCE --param=ggc-min-heapsize=524288)
endif()
function(mp_compiled_for_once target)
  mp_target_defaults(${target})
  target_compile_options(${target} PRIVATE ${MP_COMPILED_FOR_ONCE})
endfunction()

# What tests share, compiled once per library. It owns the precompiled header that all tests use: <gtest/gtest.h> and the
# public headers are the larger part of compiling a test. The `clang` preset turns that off.
foreach(library IN ITEMS multiprocessing multiprocessing_testing)
  set(support "${library}_test_support")
  add_library(${support} STATIC EXCLUDE_FROM_ALL)
  foreach(source IN ITEMS arena_check.cpp crash.cpp watchdog.cpp)
    target_sources(${support} PRIVATE "${PROJECT_SOURCE_DIR}/tests/support/${source}")
  endforeach()
  mp_compiled_for_once(${support})
  target_include_directories(${support} PUBLIC "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${support} PUBLIC ${library} GTest::gtest)
  target_precompile_headers(${support} PRIVATE
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
  target_link_libraries(${target} PRIVATE ${arg_LIBRARY}_test_support GTest::gtest_main)
  target_precompile_headers(${target} REUSE_FROM ${arg_LIBRARY}_test_support)
  set_target_properties(${target} PROPERTIES ENABLE_EXPORTS ON)  # so that the stack a Watchdog prints has names
  gtest_discover_tests(${target}
    TEST_PREFIX "${prefix}."
    DISCOVERY_MODE PRE_TEST
    PROPERTIES TIMEOUT ${MP_TEST_TIMEOUT})
endfunction()
