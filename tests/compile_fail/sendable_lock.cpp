#include <multiprocessing/serialize.hpp>
#include <mutex>

struct Request {
  int id;
  std::unique_ptr<std::mutex> mutex;
};

int main() {
  multiprocessing::codec::Encoder out;
  encode(out, Request{});
}
