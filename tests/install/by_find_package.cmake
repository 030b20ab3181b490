include("${CMAKE_CURRENT_LIST_DIR}/steps.cmake")

set(build "${WORK}/by_find_package")
file(REMOVE_RECURSE "${build}")
step("${CMAKE_COMMAND}" -S "${CONSUMER}" -B "${build}" -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${COMPILER}"
  "-DCMAKE_CXX_FLAGS=${sanitize}" "-DCMAKE_PREFIX_PATH=${PREFIX}")
step("${CMAKE_COMMAND}" --build "${build}")
step("${build}/consumer")
