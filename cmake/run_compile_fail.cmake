# What a test of mp_compile_fail() runs: COMPILER, SOURCE, INCLUDES (separated by |), EXPECT.
string(REPLACE "|" ";" includes "${INCLUDES}")
list(TRANSFORM includes PREPEND "-I")
execute_process(
  COMMAND "${COMPILER}" -std=c++20 -fsyntax-only ${includes} "${SOURCE}"
  RESULT_VARIABLE result
  OUTPUT_VARIABLE said
  ERROR_VARIABLE said)

if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles, and must not")
endif()
# Line by line: a regular expression of CMake has no way to stay within one.
string(REGEX REPLACE "[][;]" " " lines "${said}")  # these would make lists of it
string(REPLACE "\n" ";" lines "${lines}")
foreach(line IN LISTS lines)
  if(line MATCHES "${EXPECT}")
    message(STATUS "${line}")
    return()
  endif()
endforeach()
message(FATAL_ERROR "${SOURCE} is refused, but no line says '${EXPECT}':\n${said}")
