#include <multiprocessing/serialize.hpp>

struct Request {
  int* pointer = nullptr;
  template <class Archive>
  void serialize(Archive& ar) {
    ar(pointer);
  }
};

int main() {
  multiprocessing::codec::Encoder out;
  encode(out, Request{});
}
