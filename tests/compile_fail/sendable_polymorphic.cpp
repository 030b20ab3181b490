#include <multiprocessing/serialize.hpp>

struct Shape {
  virtual ~Shape() = default;
};

int main() {
  multiprocessing::codec::Encoder out;
  encode(out, std::unique_ptr<Shape>());
}
