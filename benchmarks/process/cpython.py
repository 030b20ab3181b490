"""Rival: CPython's multiprocessing.Process, start and join of a function that does nothing."""
import multiprocessing
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness.cpython import arguments, report, sit  # noqa: E402


def nothing():
    pass


def main():
    options = arguments(items=200)
    sit(0, options.pinned)
    begin = time.monotonic_ns()
    for _ in range(options.items):
        process = multiprocessing.Process(target=nothing)
        process.start()
        process.join()
        assert process.exitcode == 0
    report(options.items, time.monotonic_ns() - begin)


if __name__ == "__main__":
    main()
