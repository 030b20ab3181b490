// What the hosts of other people's threads have in common.
#pragma once

#include <cstdlib>
#include <iostream>

inline void check(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "not true: " << what << '\n';
  std::exit(EXIT_FAILURE);
}
