include("${CMAKE_CURRENT_LIST_DIR}/steps.cmake")

file(REMOVE_RECURSE "${PREFIX}")  # or what a former run installed could hide what is missing now
step("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${PREFIX}")
