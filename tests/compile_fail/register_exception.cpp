#include <multiprocessing/register_exception.hpp>
#include <stdexcept>

struct Located : std::runtime_error {
  Located(const char* text, int line);
  int line;
};

int main() { multiprocessing::register_exception<Located>(); }
