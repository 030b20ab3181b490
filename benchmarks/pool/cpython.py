"""Rival: CPython's multiprocessing.Pool; the same workload as workload.hpp."""
import multiprocessing
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness.cpython import arguments, report, sit  # noqa: E402


def test(x):
    return x + 100


def sit_down(seats, pinned):
    with seats.get_lock():
        seats.value += 1
        seat = seats.value
    sit(seat, pinned)


def map_once(pool, tasks):
    begin = time.monotonic_ns()
    results = pool.map(test, range(tasks), chunksize=1)
    elapsed = time.monotonic_ns() - begin
    assert results == [x + 100 for x in range(tasks)], "map lost or mixed up results"
    return elapsed


def apply_each(pool, tasks):
    begin = time.monotonic_ns()
    for i in range(tasks):
        assert pool.apply(test, (i,)) == i + 100, "apply returned another task's result"
    return time.monotonic_ns() - begin


def main():
    options = arguments(items=100_000, workers=2, apply=False)
    sit(0, options.pinned)
    seats = multiprocessing.Value("i", 0)
    with multiprocessing.Pool(options.workers, sit_down, (seats, options.pinned)) as pool:
        map_once(pool, 100)
        report(options.items, (apply_each if options.apply else map_once)(pool, options.items))


if __name__ == "__main__":
    main()
