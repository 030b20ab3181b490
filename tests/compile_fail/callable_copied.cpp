#include <multiprocessing/serialize.hpp>

int main() {
  multiprocessing::codec::Encoder out;
  std::string text = "x";
  (void)multiprocessing::copied([text] { return text; });
}
