# Programs that must not compile, and what the compiler must say to their author.

# mp_compile_fail(<name> <source> EXPECT <regex> [ALONE] [STANDARD <year>] [DEFINE <name>])
#
# Registers the test compile_fail.<name>: <source>, compiled with the flags of a user of the library, is refused,
# and a single line of what the compiler says matches the regular expression (CMake's; `.` does not cross lines).
# ALONE: and there is no other error.
function(mp_compile_fail name source)
  cmake_parse_arguments(PARSE_ARGV 2 arg "ALONE" "EXPECT;STANDARD;DEFINE" "")
  if(NOT arg_EXPECT)
    message(FATAL_ERROR "mp_compile_fail(${name}): EXPECT is needed; that it fails for some reason proves nothing")
  endif()
  if(NOT arg_STANDARD)
    set(arg_STANDARD 20)
  endif()
  cmake_path(ABSOLUTE_PATH source)
  add_test(NAME compile_fail.${name} COMMAND ${CMAKE_COMMAND}
    "-DCOMPILER=${CMAKE_CXX_COMPILER}"
    "-DSOURCE=${source}"
    "-DINCLUDES=$<JOIN:$<TARGET_PROPERTY:multiprocessing,INTERFACE_INCLUDE_DIRECTORIES>,|>"
    "-DEXPECT=${arg_EXPECT}"
    "-DALONE=${arg_ALONE}"
    "-DDEFINE=${arg_DEFINE}"
    "-DSTANDARD=${arg_STANDARD}"
    -P "${PROJECT_SOURCE_DIR}/cmake/run_compile_fail.cmake")
  set_tests_properties(compile_fail.${name} PROPERTIES TIMEOUT ${MP_TEST_TIMEOUT})
endfunction()
