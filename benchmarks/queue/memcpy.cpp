// Limit: what copying alone costs: each item once into a buffer and once out of it, by one process.
#include <cstddef>
#include <cstring>
#include <vector>

#include "harness/arguments.hpp"
#include "harness/placement.hpp"
#include "harness/sample.hpp"
#include "queue/items.hpp"

namespace {

bench::Sample measure(const bench::Arguments& arguments) {
  const std::size_t items = arguments.number("items", 10'000);
  const std::size_t bytes = arguments.number("bytes", std::size_t{1} << 20U);
  const std::size_t depth = arguments.number("depth", 16);
  bench::Placement{arguments.flag("pinned")}.sit(0);
  bench::Large source(bytes);
  bench::Large target(bytes);
  std::vector<bench::Large> slots(depth, bench::Large(bytes));
  bench::Inspector<bench::Large> inspector{1, bytes};
  return bench::timed(items, [&] {
    for (std::size_t i = 0; i < items; ++i) {
      bench::write_stamp(source, bench::make_stamp(0, i), bench::kStride<bench::Large>);
      std::memcpy(slots[i % depth].data(), source.data(), bytes);
      std::memcpy(target.data(), slots[i % depth].data(), bytes);
      inspector.inspect(target);
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::report([&] { return measure(bench::Arguments{argc, argv}); });
}
