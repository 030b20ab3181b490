#include <multiprocessing/serialize.hpp>

static int add(int a, int b) { return a + b; }

int main() {
  multiprocessing::codec::Encoder out;
  (void)multiprocessing::codec::Call<decltype(&add), std::string>::check();
}
