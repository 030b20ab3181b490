#include <multiprocessing/serialize.hpp>

int main() {
  multiprocessing::codec::Encoder out;
  int offset = 1;
  auto add = [offset](int x) { return x + offset; };
  multiprocessing::codec::encode_callable(out, add);
  (void)multiprocessing::codec::Call<decltype(add), int>::check();
}
