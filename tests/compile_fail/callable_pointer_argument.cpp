#include <multiprocessing/serialize.hpp>

static int first(const int* numbers) { return *numbers; }

int main() {
  multiprocessing::codec::Encoder out;
  (void)multiprocessing::codec::Call<decltype(&first), int*>::check();
}
