#include <multiprocessing/serialize.hpp>

struct Request {
  std::string_view name;
};

int main() {
  multiprocessing::codec::Encoder out;
  encode(out, Request{});
}
