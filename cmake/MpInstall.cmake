# What `cmake --install` puts where: library, headers, CMake package, pkg-config file, tools.
include(CMakePackageConfigHelpers)
set(mp_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/multiprocessing")

set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME development)

install(TARGETS multiprocessing EXPORT multiprocessing-targets
  ARCHIVE COMPONENT development
  LIBRARY COMPONENT runtime NAMELINK_COMPONENT development)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.hpp")
if(TARGET mpcopy)
  install(TARGETS mpcopy COMPONENT tools)
  install(FILES "${PROJECT_SOURCE_DIR}/apps/mpcopy/mpcopy.1" COMPONENT tools
    DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
  install(FILES "${PROJECT_SOURCE_DIR}/apps/mpcopy/mpcopy.bash-completion" COMPONENT tools RENAME mpcopy
    DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
endif()
# gdb finds it beside the shared library, which it is the printers of.
if(BUILD_SHARED_LIBS)
  install(FILES "${PROJECT_SOURCE_DIR}/tools/gdb/multiprocessing_printers.py" COMPONENT development
    DESTINATION "${CMAKE_INSTALL_DATADIR}/gdb/auto-load${CMAKE_INSTALL_FULL_LIBDIR}"
    RENAME "libmultiprocessing.so.${PROJECT_VERSION}-gdb.py")
endif()

install(EXPORT multiprocessing-targets NAMESPACE multiprocessing:: DESTINATION "${mp_package_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/multiprocessing-config.cmake.in"
  "${PROJECT_BINARY_DIR}/multiprocessing-config.cmake" INSTALL_DESTINATION "${mp_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/multiprocessing-config-version.cmake"
  COMPATIBILITY SameMajorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/multiprocessing-config.cmake"
  "${PROJECT_BINARY_DIR}/multiprocessing-config-version.cmake"
  DESTINATION "${mp_package_dir}")

# cereal has no pkg-config file. Where it is not in a directory the compiler searches anyway, ours must say where.
get_target_property(mp_cereal_includes cereal::cereal INTERFACE_INCLUDE_DIRECTORIES)
set(mp_pc_cflags "")
foreach(dir IN LISTS mp_cereal_includes)
  cmake_path(ABSOLUTE_PATH dir NORMALIZE)
  if(NOT dir IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    string(APPEND mp_pc_cflags " -I${dir}")
  endif()
endforeach()
set(mp_pc_libs "")
if(NOT BUILD_SHARED_LIBS)
  set(mp_pc_libs " -lssl -lcrypto")
  if(MULTIPROCESSING_BACKTRACE)
    string(APPEND mp_pc_libs " -lbacktrace")
  endif()
endif()
# Relative to where the .pc file stands, so the installed tree may be moved and `--prefix` chosen late.
set(mp_pc_dir "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig")
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY "${mp_pc_dir}" OUTPUT_VARIABLE mp_pc_prefix)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR
  BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}" OUTPUT_VARIABLE mp_pc_includedir)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR
  BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}" OUTPUT_VARIABLE mp_pc_libdir)
configure_file("${PROJECT_SOURCE_DIR}/cmake/multiprocessing.pc.in" "${PROJECT_BINARY_DIR}/multiprocessing.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/multiprocessing.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
