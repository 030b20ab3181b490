#include <multiprocessing/serialize.hpp>

struct Request {
  std::vector<std::optional<int*>> slots;
};

int main() {
  multiprocessing::codec::Encoder out;
  encode(out, std::map<int, Request>{});
}
