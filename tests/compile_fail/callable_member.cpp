#include <multiprocessing/serialize.hpp>

struct Counter {
  int count() const { return 1; }
};

int main() {
  multiprocessing::codec::Encoder out;
  multiprocessing::codec::encode_callable(out, &Counter::count);
}
