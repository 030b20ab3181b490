"""Rival: CPython's multiprocessing.Queue; the same workload as workload.hpp, with bytes objects as items.

The queue has no bound (its quickest form).  The head and the tail of an item carry its stamp; looking at every page,
as the C++ programs do, would only add the interpreter's time.
"""
import multiprocessing
import pathlib
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness.cpython import arguments, report, sit  # noqa: E402


def produce(queue, producer, options, gate):
    sit(2 * producer + producer % 2, options.pinned)
    padding = bytes(options.bytes - 16)
    gate.wait()
    for sequence in range(options.items // options.producers):
        stamp = struct.pack("<Q", sequence << 8 | producer)
        queue.put(stamp + padding + stamp)


def consume(queue, consumer, options, gate, outcomes):
    sit(2 * consumer + 1 - consumer % 2, options.pinned)
    checksum = 0
    unpack = struct.Struct("<Q").unpack_from
    size = options.bytes
    gate.wait()
    for _ in range(options.items // options.consumers):
        item = queue.get()
        assert len(item) == size and item[:8] == item[-8:], "an item is damaged"
        checksum += unpack(item)[0]
    outcomes.put((time.monotonic_ns(), checksum))


def main():
    options = arguments(items=100_000, bytes=64, depth=0, producers=1, consumers=1)
    shares = options.producers * options.consumers
    options.items = -(-options.items // shares) * shares
    queue, outcomes = multiprocessing.Queue(), multiprocessing.SimpleQueue()
    gate = multiprocessing.Barrier(options.producers + options.consumers + 1)
    team = [multiprocessing.Process(target=consume, args=(queue, i, options, gate, outcomes), daemon=True)
            for i in range(options.consumers)]
    team += [multiprocessing.Process(target=produce, args=(queue, i, options, gate), daemon=True)
             for i in range(options.producers)]
    for member in team:
        member.start()
    gate.wait()
    begin = time.monotonic_ns()
    ends, checksums = zip(*(outcomes.get() for _ in range(options.consumers)))
    for member in team:
        member.join()
        assert member.exitcode == 0, "a member failed"
    each = options.items // options.producers
    sent = sum(sequence << 8 | producer for producer in range(options.producers) for sequence in range(each))
    assert sum(checksums) == sent, "the received items are not the sent ones"
    report(options.items, max(ends) - begin)


if __name__ == "__main__":
    main()
