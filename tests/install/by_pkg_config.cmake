include("${CMAKE_CURRENT_LIST_DIR}/steps.cmake")

set(ENV{PKG_CONFIG_PATH} "${PREFIX}/${LIBDIR}/pkgconfig")
execute_process(COMMAND "${PKG_CONFIG}" --cflags --libs multiprocessing
  OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags UNIX_COMMAND "${flags}")

set(program "${WORK}/by_pkg_config")
step("${COMPILER}" -std=c++20 ${sanitize} "${CONSUMER}/consumer.cpp" ${flags} -o "${program}")
set(ENV{LD_LIBRARY_PATH} "${PREFIX}/${LIBDIR}")  # for a shared library outside the linker's paths
step("${program}")
