#include <multiprocessing/errors.hpp>

static_assert(sizeof(multiprocessing::Error) == 0, "the reason of refused.cpp");

int main() {}
