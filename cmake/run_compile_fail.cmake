# What a test of mp_compile_fail() runs: COMPILER, SOURCE, INCLUDES (separated by |), EXPECT, ALONE, STANDARD, DEFINE.
string(REPLACE "|" ";" includes "${INCLUDES}")
list(TRANSFORM includes PREPEND "-I")
set(definition ${DEFINE})
list(TRANSFORM definition PREPEND "-D")
execute_process(
  COMMAND "${COMPILER}" -std=c++${STANDARD} -fsyntax-only ${definition} ${includes} "${SOURCE}"
  RESULT_VARIABLE result
  OUTPUT_VARIABLE said
  ERROR_VARIABLE said)

if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles, and must not")
endif()
# Line by line: a regular expression of CMake has no way to stay within one.
string(REGEX REPLACE "[][;]" " " lines "${said}")  # these would make lists of it
string(REPLACE "\n" ";" lines "${lines}")
set(errors ${lines})
list(FILTER errors INCLUDE REGEX " error: ")
list(LENGTH errors count)
if(ALONE AND count GREATER 1)
  message(FATAL_ERROR "${SOURCE} is refused with ${count} errors instead of one:\n${said}")
endif()
foreach(line IN LISTS lines)
  if(line MATCHES "${EXPECT}")
    message(STATUS "${line}")
    return()
  endif()
endforeach()
message(FATAL_ERROR "${SOURCE} is refused, but no line says '${EXPECT}':\n${said}")
