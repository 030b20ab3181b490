// Items whose times differ, dealt out perfectly, at no cost: by calculation.
#include "parallel/workload.hpp"

int main(int argc, char** argv) {
  return bench::report([&] {
    const bench::Arguments arguments{argc, argv};
    const std::size_t items = arguments.number("items", 1'000'000);
    bench::Sample sample{.items = items, .nanoseconds = 0};
    for (const bench::Shape shape : bench::shapes) {
      const std::size_t each = items / bench::shapes.size();
      for (std::size_t i = 0; i < each; ++i) sample.nanoseconds += bench::item_ns(shape, i, each);
    }
    sample.nanoseconds /= static_cast<std::int64_t>(arguments.number("workers", 2));
    return sample;
  });
}
