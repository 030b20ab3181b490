#include <multiprocessing/errors.hpp>

int main() {}
