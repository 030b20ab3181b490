"""What arguments.hpp, placement.hpp and sample.hpp are to the C++ programs, for the ones written in Python."""
import argparse
import os

CORES = sorted(os.sched_getaffinity(0))


def arguments(**defaults):
    parser = argparse.ArgumentParser()
    parser.add_argument("--pinned", action="store_true")
    for name, default in defaults.items():
        if default is False:
            parser.add_argument(f"--{name}", action="store_true")
        else:
            parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def sit(seat, pinned):
    if pinned:
        os.sched_setaffinity(0, {CORES[seat % len(CORES)]})


def report(items, nanoseconds):
    print(f"items={items} seconds={nanoseconds * 1e-9:.9f}", flush=True)
