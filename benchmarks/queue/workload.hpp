// The queue workload, the same for every transport: P producer processes and C consumer processes, `items` in all.
//
// A transport is made before the fork and gives each process its end:
//
//   template <class Item> struct Transport {
//     using Child = RawFork;  // or another way to start its processes (harness/team.hpp)
//     explicit Transport(const Shape&);
//     auto sender();      // .send(const Item&), and .flush() after the last item; or .send_in_place(bytes, write),
//                         // which calls write() on memory that the transport lends
//     auto receiver();    // .receive(most, visit): takes 1 … most items, calls visit(bytes) on each, returns how many
//   };
#pragma once

#include <cstddef>
#include <span>

#include "harness/arguments.hpp"
#include "harness/placement.hpp"
#include "harness/sample.hpp"
#include "harness/team.hpp"
#include "queue/items.hpp"

namespace bench {

struct Shape {
  std::size_t items = 0;
  std::size_t bytes = 0;  // of an item
  std::size_t depth = 0;  // items the queue may hold
  std::size_t producers = 0;
  std::size_t consumers = 0;
  std::size_t stride = 0;  // bytes from stamp to stamp

  static Shape from(const Arguments& arguments) {
    Shape shape{
        .items = arguments.number("items", 100'000),
        .bytes = arguments.number("bytes", sizeof(Small)),
        .depth = arguments.number("depth", 1024),
        .producers = arguments.number("producers", 1),
        .consumers = arguments.number("consumers", 1),
    };
    shape.stride = shape.bytes == sizeof(Small) ? kStride<Small> : kStride<Large>;
    if (arguments.flag("dense")) shape.stride = 64;
    if (arguments.flag("head")) shape.stride = shape.bytes;
    const std::size_t shares = shape.producers * shape.consumers;
    shape.items = (shape.items + shares - 1) / shares * shares;  // so that shares are equal
    return shape;
  }
};

template <class Item, class Transport>
void produce(Transport& transport, const Shape& shape, std::size_t producer, const Lap& lap) {
  auto sender = transport.sender();
  Item item = blank(static_cast<const Item*>(nullptr), shape.bytes);
  lap.start();
  for (std::size_t sequence = 0; sequence < shape.items / shape.producers; ++sequence) {
    const auto write = [&](std::span<std::byte> bytes) {
      write_stamp(bytes, make_stamp(producer, sequence), shape.stride);
    };
    if constexpr (requires { sender.send_in_place(shape.bytes, write); }) {
      sender.send_in_place(shape.bytes, write);
    } else {
      write(bytes_of(item));
      sender.send(item);
    }
  }
  sender.flush();
  lap.stop({});
}

template <class Item, class Transport>
void consume(Transport& transport, const Shape& shape, const Lap& lap) {
  auto receiver = transport.receiver();
  Inspector<Item> inspector{shape.producers, shape.bytes, shape.stride};
  lap.start();
  for (std::size_t left = shape.items / shape.consumers; left > 0;)
    left -= receiver.receive(left, [&](std::span<const std::byte> bytes) { inspector.inspect(bytes); });
  lap.stop(inspector.tally());
}

// Producer i sits at seat 2i, consumer i at 2i + 1: on two cores, producers on one and consumers on the other
// for 1:1; for more, every second pair is turned round, so that both cores carry both kinds.
inline std::size_t producer_seat(std::size_t i) { return 2 * i + i % 2; }
inline std::size_t consumer_seat(std::size_t i) { return 2 * i + 1 - i % 2; }

template <class Item, class Transport>
Sample measure_queue(const Shape& shape, const Placement& placement) {
  Transport transport{shape};
  Team<typename Transport::Child> team{placement};
  for (std::size_t i = 0; i < shape.consumers; ++i)
    team.add(consumer_seat(i), [&](const Lap& lap) { consume<Item>(transport, shape, lap); });
  for (std::size_t i = 0; i < shape.producers; ++i)
    team.add(producer_seat(i), [&](const Lap& lap) { produce<Item>(transport, shape, i, lap); });
  const Outcome outcome = team.run();

  const Tally sent = expected(shape.producers, shape.items / shape.producers);
  require(outcome.seen.count == sent.count, "items were lost or doubled");
  require(outcome.seen.checksum == sent.checksum, "the received items are not the sent ones");
  return {shape.items, outcome.nanoseconds};
}

template <template <class> class Transport>
int queue_main(int argc, char** argv) {
  return report([&] {
    const Arguments arguments{argc, argv};
    const Shape shape = Shape::from(arguments);
    const Placement placement{arguments.flag("pinned")};
    return shape.bytes == sizeof(Small) ? measure_queue<Small, Transport<Small>>(shape, placement)
                                        : measure_queue<Large, Transport<Large>>(shape, placement);
  });
}

}  // namespace bench
