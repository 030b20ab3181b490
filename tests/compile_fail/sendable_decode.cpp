#include <multiprocessing/serialize.hpp>

int main() {
  multiprocessing::codec::Decoder in({});
  (void)multiprocessing::codec::decode<std::vector<int*>>(in);
}
