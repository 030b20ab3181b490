#include <multiprocessing/serialize.hpp>

struct Request {
  int& count;
};

int main() {
  multiprocessing::codec::Encoder out;
  int count = 0;
  encode(out, Request{count});
}
