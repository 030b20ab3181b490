# Does the compiler bring libbacktrace along?  It lies in a folder of gcc's own, where clang finds the library, too, but
# not the header.
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libbacktrace.a
  OUTPUT_VARIABLE mp_backtrace_archive OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
cmake_path(GET mp_backtrace_archive PARENT_PATH mp_backtrace_folder)
set(MULTIPROCESSING_BACKTRACE_INCLUDE "${mp_backtrace_folder}/include")
set(MULTIPROCESSING_BACKTRACE OFF)
if(EXISTS "${mp_backtrace_archive}" AND EXISTS "${MULTIPROCESSING_BACKTRACE_INCLUDE}/backtrace.h")
  set(MULTIPROCESSING_BACKTRACE ON)
else()
  message(STATUS "No libbacktrace: the stacks in error messages name functions, but no lines")
endif()
