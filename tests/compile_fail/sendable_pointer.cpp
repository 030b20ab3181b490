#include <multiprocessing/serialize.hpp>

struct Request {
  int id;
  char* buffer;
};

int main() {
  multiprocessing::codec::Encoder out;
  encode(out, Request{});
}
