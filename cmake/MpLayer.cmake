# A layer of the library: one folder under src/. Lowest first: a file may include only what belongs to its own layer
# or to one named before it (tests/layers fails where it does not).
set(MULTIPROCESSING_LAYERS base os crash sync memory codec wire synchronize shared_memory channel process pool manager
    parallel progress)

# mp_layer(<name> [SOURCES <cpp>...] [SOURCES_WITH_STEPS <cpp>...] [TESTS <cpp>...] [CRASH_TESTS <cpp>...])
#
# There are two libraries: `multiprocessing`, what is shipped, and `multiprocessing_testing`, the same code with
# MULTIPROCESSING_TESTING=1, where commit protocols have named steps at which a test can kill a process and system calls
# can be made to fail (os/faults.hpp). What includes that header, or one that does, is compiled for each of them; all
# other SOURCES once for both.
# Every file of TESTS becomes a GoogleTest program linked with the first, every file of CRASH_TESTS one linked
# with the second; both stand beside the code they test.
function(mp_layer layer)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;SOURCES_WITH_STEPS;TESTS;CRASH_TESTS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "mp_layer(${layer}): do not know what to do with '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  target_sources(multiprocessing_without_steps PRIVATE ${arg_SOURCES})
  foreach(library IN ITEMS multiprocessing multiprocessing_testing)
    target_sources(${library} PRIVATE ${arg_SOURCES_WITH_STEPS})
  endforeach()
  if(MULTIPROCESSING_BUILD_TESTS)
    foreach(source IN LISTS arg_TESTS)
      mp_test(${layer} ${source} LIBRARY multiprocessing)
    endforeach()
    foreach(source IN LISTS arg_CRASH_TESTS)
      mp_test(${layer} ${source} LIBRARY multiprocessing_testing)
    endforeach()
  endif()
endfunction()

# mp_library(<target> [STATIC|OBJECT] [EXCLUDE_FROM_ALL]): an empty library with everything but sources.
function(mp_library target)
  add_library(${target} ${ARGN})
  mp_target_defaults(${target})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target}
    PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>"
    PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(${target} PUBLIC Threads::Threads cereal::cereal)
  # Half of the time that a source file takes to compile goes into these. The `clang` preset turns precompiled
  # headers off, so an include that a file forgot does not stay hidden behind them; `release`, because g++ 12 at -O3
  # warns of its own headers when they are precompiled.
  target_precompile_headers(${target} PRIVATE
    <algorithm> <atomic> <chrono> <functional> <memory> <optional> <string> <thread> <vector>)
  # A callable travels as (build-id of its module, offset): every module that uses the library needs a build-id,
  # and not every compiler asks its linker for one.
  target_link_options(${target} PUBLIC -Wl,--build-id)
  set_target_properties(${target} PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    # A program sees what the public headers declare, nothing else: they push visibility(default) (docs/abi.md).
    CXX_VISIBILITY_PRESET hidden
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR})
endfunction()
