#include <multiprocessing/serialize.hpp>

struct Message {
  int id;
};
struct Request : Message {
  int size;
};

int main() {
  multiprocessing::codec::Encoder out;
  encode(out, Request{});
}
