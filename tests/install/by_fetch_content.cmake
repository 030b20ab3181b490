include("${CMAKE_CURRENT_LIST_DIR}/steps.cmake")

# Of the consumer's program, only what shows that headers and flags reach it is made: all of it would be the library
# once more.
set(build "${WORK}/by_fetch_content")
file(REMOVE_RECURSE "${build}")
step("${CMAKE_COMMAND}" -S "${FETCHING}" -B "${build}" -G Ninja "-DCMAKE_CXX_COMPILER=${COMPILER}"
  "-DCMAKE_CXX_FLAGS=${sanitize}" "-DSOURCE=${SOURCE}" "-DCONSUMER=${CONSUMER}")
step("${CMAKE_COMMAND}" --build "${build}" --target consumer/CMakeFiles/consumer.dir/consumer.cpp.o)
