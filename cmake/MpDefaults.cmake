# What every target of the project is compiled with.

# Optimised, but a debugger and a crash report can still name lines.
get_property(mp_multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(PROJECT_IS_TOP_LEVEL AND NOT mp_multi_config AND NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()

# clang's -Wconversion includes -Wsign-conversion, that of g++ does not. Without it: indices that were checked are ints.
set(MULTIPROCESSING_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC bug 105329: at -O3, g++ 12 sees an overlap in std::string operations where there is none.
  list(APPEND MULTIPROCESSING_WARNINGS -Wno-restrict)
endif()
# The code that sanitizers put in misleads g++ into warnings of its own; dev and clang are built with all of them.
if(MULTIPROCESSING_WERROR AND NOT MULTIPROCESSING_SANITIZE)
  list(APPEND MULTIPROCESSING_WARNINGS -Werror)
endif()

if(MULTIPROCESSING_SANITIZE)
  add_compile_options(-fsanitize=${MULTIPROCESSING_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${MULTIPROCESSING_SANITIZE})
  if(MULTIPROCESSING_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)  # a finding fails the test instead of scrolling by
  endif()
endif()

if(MULTIPROCESSING_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)  # counts the code that an input reaches
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

# mp_target_defaults(<target>): C++20 without extensions, and our warnings. Never propagated to consumers.
function(mp_target_defaults target)
  set_target_properties(${target} PROPERTIES
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE ${MULTIPROCESSING_WARNINGS})
endfunction()
