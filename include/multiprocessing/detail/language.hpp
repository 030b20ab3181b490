// The language that this library is written in, said before anything that another one does not understand: every public
// header comes to this one first.
#pragma once

#if __cplusplus < 202002L
#error "multiprocessing is written in C++20: compile with -std=c++20, or target_compile_features(app PUBLIC cxx_std_20)"
#endif
