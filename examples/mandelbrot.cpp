// A picture, painted by all cores into memory that they share, and written as PNG.
//
//   mandelbrot FILE [WIDTH]
#include <png.h>

#include <complex>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <numeric>
#include <vector>

namespace mp = multiprocessing;

struct Colour {
  std::uint8_t red, green, blue;
};

Colour colour_at(std::complex<double> c) {
  constexpr int limit = 500;
  std::complex<double> z;
  int steps = 0;
  while (steps < limit && std::norm(z) < 4) {
    z = z * z + c;
    ++steps;
  }
  if (steps == limit) return {0, 0, 0};
  return {static_cast<std::uint8_t>(steps * 9), static_cast<std::uint8_t>(steps * 5),
          static_cast<std::uint8_t>(64 + steps * 7)};
}

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: mandelbrot FILE [WIDTH]\n";
    return 2;
  }
  const int width = argc > 2 ? std::atoi(argv[2]) : 1200;
  const int height = width * 2 / 3;
  const mp::Array<Colour> pixels(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));

  std::vector<int> rows(static_cast<std::size_t>(height));
  std::iota(rows.begin(), rows.end(), 0);
  mp::parallel_for_each(
      [&](int row) {
        Colour* const line = &pixels.span()[static_cast<std::size_t>(row) * static_cast<std::size_t>(width)];
        for (int column = 0; column < width; ++column) {
          line[column] = colour_at({3.0 * column / width - 2.2, 2.0 * row / height - 1.0});
        }
      },
      rows);

  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB;
  if (png_image_write_to_file(&image, argv[1], 0, pixels.span().data(), 0, nullptr) == 0) {
    std::cerr << argv[1] << ": " << image.message << '\n';
    return 1;
  }
  std::cout << argv[1] << ": " << width << " x " << height << std::endl;
}
